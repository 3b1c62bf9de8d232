/* tests/capsule/format_doc_test.c */

/*
 * Goal: the pages in docs/format/ say what the code does.
 * Method: take the examples out of their fenced blocks. They belong to one
 * capsule: starting from its GENESIS, each is verified with what those before it said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "capsule/capsule_snapshot.h"
#include "capsule/deed.h"
#include "capsule/function.h"
#include "capsule/genesis.h"
#include "capsule/lock.h"
#include "capsule/member.h"
#include "capsule/proof.h"
#include "capsule/prune.h"
#include "capsule/receipt.h"
#include "capsule/record.h"
#include "capsule/revoke.h"
#include "capsule/sync.h"
#include "capsule/term.h"
#include "capsule/tuple.h"
#include "crypto/crypto.h"
#include "tests/support/page.h"

static struct buffer hex_of(const char *name, const char *tag)
{
    struct buffer bytes = BUFFER_EMPTY;
    page_hex(&bytes, name, tag);
    return bytes;
}

struct fixture {
    struct buffer genesis_body;
    struct genesis genesis;
    struct buffer member_body;
    struct member_body member;
};

static int setup(void **state)
{
    static struct fixture f;
    crypto_init();
    f.genesis_body = hex_of("format/owner.md", "hex genesis");
    assert_int_equal(genesis_decode(&f.genesis, buffer_bytes(&f.genesis_body)), STATUS_OK);
    f.member_body = hex_of("format/member.md", "hex member");
    assert_int_equal(member_decode(&f.member, buffer_bytes(&f.member_body)), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->genesis_body);
    buffer_release(&f->member_body);
    return 0;
}

/* The JSON shown is the JSON signed. */
static void assert_json(const char *tag, const struct buffer *body)
{
    struct owner_body owner_body;
    struct buffer text = BUFFER_EMPTY;
    page_block(&text, "format/owner.md", tag);
    assert_int_equal(owner_decode(&owner_body, buffer_bytes(body)), STATUS_OK);
    assert_true(bytes_equal(owner_body.json, bytes_of(text.bytes, text.length - 1)));
    buffer_release(&text);
}

static void the_genesis_has_the_name_that_is_shown(void **state)
{
    struct fixture *f = *state;
    struct buffer name = hex_of("format/owner.md", "hex name");
    assert_int_equal(name.length, HASH_BYTES);
    assert_memory_equal(name.bytes, f->genesis.capsule.bytes, HASH_BYTES);
    assert_json("json genesis", &f->genesis_body);
    buffer_release(&name);
}

static void the_snapshot_goes_on_from_what_is_told_and_is_written_so_again(void **state)
{
    struct fixture *f = *state;
    struct buffer shown = hex_of("format/snapshot.md", "hex snapshot"), again = BUFFER_EMPTY;
    struct capsule *capsule;
    struct capsule_snapshot snapshot;
    assert_int_equal(capsule_snapshot_restore(&capsule, &snapshot, buffer_bytes(&f->genesis_body),
                                              buffer_bytes(&shown)),
                     STATUS_OK);
    assert_false(snapshot.is_whole);
    assert_int_equal(capsule_newest_sync(capsule)->epoch, 1);
    assert_int_equal(capsule_leader(capsule)->head.sequence, 5);
    assert_int_equal(capsule_member_at(capsule, 1)->head.sequence, 7);
    assert_int_equal(capsule_lock_count(capsule), 1);
    assert_int_equal(snapshot.function_count, 1);
    const struct branch_head function = capsule_snapshot_function(&snapshot, 0);
    assert_int_equal(function.head.sequence, 4);
    const struct capsule_snapshot_more more = {.functions = &function, .function_count = 1};
    assert_int_equal(capsule_snapshot_encode_joined(&again, capsule, &more), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&shown)));
    capsule_free(capsule);
    buffer_release(&again);
    buffer_release(&shown);
}

static void the_term_is_of_that_capsule_and_owner(void **state)
{
    struct fixture *f = *state;
    struct buffer body = hex_of("format/owner.md", "hex term");
    struct term term;
    assert_int_equal(
        term_decode(&term, buffer_bytes(&body), &f->genesis.owner, &f->genesis.capsule), STATUS_OK);
    assert_int_equal(term.number, 1);
    assert_json("json term", &body);
    buffer_release(&body);
}

static void the_word_on_the_stores_is_the_owners(void **state)
{
    struct fixture *f = *state;
    struct buffer body = hex_of("format/owner.md", "hex stores");
    struct stores stores;
    assert_int_equal(stores_decode(&stores, buffer_bytes(&body), &f->genesis), STATUS_OK);
    assert_int_equal(stores.version, 1);
    assert_int_equal(stores.now.store_count, 2);
    assert_int_equal(stores.now.receipt_count, 2);
    assert_string_equal(stores.now.stores[1].name, "store-2");
    assert_true(stores.has_former && stores_are_same(&stores.former, &f->genesis));
    assert_json("json stores", &body);
    buffer_release(&body);
}

static void the_revocation_is_the_owners(void **state)
{
    struct fixture *f = *state;
    struct buffer body = hex_of("format/owner.md", "hex revoke");
    struct writer_id writer;
    char text[WRITER_ID_TEXT_BYTES];
    assert_int_equal(
        revoke_decode(&writer, buffer_bytes(&body), &f->genesis.owner, &f->genesis.capsule),
        STATUS_OK);
    writer_id_text(&writer, text);
    assert_string_equal(text, "86e09a531f207ab8b59c3c90afe9711d");
    assert_json("json revoke", &body);
    buffer_release(&body);
}

static void the_policy_and_the_function_are_the_owners(void **state)
{
    struct fixture *f = *state;
    struct buffer body = hex_of("format/owner.md", "hex policy");
    uint64_t version;
    struct bytes policy, code;
    assert_int_equal(term_policy_decode(&version, &policy, buffer_bytes(&body), &f->genesis.owner,
                                        &f->genesis.capsule),
                     STATUS_OK);
    assert_int_equal(version, 2);
    assert_json("json policy", &body);
    buffer_release(&body);

    body = hex_of("format/owner.md", "hex function");
    struct function_manifest manifest;
    assert_int_equal(function_decode(&manifest, &code, buffer_bytes(&body), &f->genesis.owner,
                                     &f->genesis.capsule),
                     STATUS_OK);
    assert_string_equal(manifest.name, "hello");
    assert_json("json function", &body);
    function_manifest_release(&manifest);
    buffer_release(&body);
}

static void the_record_is_the_members_and_holds_the_eoe(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = hex_of("format/record.md", "hex record");
    struct buffer body = hex_of("format/sync.md", "hex eoe");
    struct record record;
    struct eoe eoe;
    assert_int_equal(record_decode(&record, bytes.bytes, bytes.length), STATUS_OK);
    struct writer_id id = writer_id_of(&f->member.key);
    assert_true(writer_id_equal(&record.writer, &id));
    assert_true(hash_equal(&record.capsule, &f->genesis.capsule));
    assert_int_equal(record_verify(&record, &f->member.key), STATUS_OK);
    assert_int_equal(record.type, RECORD_EOE);
    assert_int_equal(record.sequence, 2);
    assert_true(bytes_equal(record.body, buffer_bytes(&body)));
    assert_int_equal(sync_eoe_decode(&eoe, record.body), STATUS_OK);
    assert_int_equal(eoe.epoch, 1);
    assert_int_equal(eoe.lamport, 1);
    buffer_release(&bytes);
    buffer_release(&body);
}

static void assert_statement(const struct fixture *f, struct bytes bytes, enum receipt_kind kind)
{
    struct receipt receipt;
    assert_int_equal(receipt_decode(&receipt, bytes), STATUS_OK);
    const struct genesis_store *store = genesis_store_find(&f->genesis, &receipt.store);
    assert_non_null(store);
    assert_int_equal(receipt_verify(&receipt, kind, &f->genesis.capsule, &store->key), STATUS_OK);
    struct branch_head head = receipt_head(&receipt, 0);
    struct writer_id id = writer_id_of(&f->member.key);
    assert_true(writer_id_equal(&head.writer, &id));
}

static void assert_one_statement(const struct fixture *f, struct bytes prefixed,
                                 enum receipt_kind kind)
{
    struct cursor in = cursor_over(prefixed.at, prefixed.length);
    uint32_t length = cursor_u32(&in);
    struct bytes statement = cursor_bytes(&in, length);
    assert_true(cursor_done(&in));
    assert_statement(f, statement, kind);
}

static void the_sync_and_the_close_rest_on_the_stores_statements(void **state)
{
    struct fixture *f = *state;
    struct buffer body = hex_of("format/sync.md", "hex sync");
    struct sync_body sync;
    struct sync_close close;
    assert_int_equal(sync_decode(&sync, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(sync.head_count, 1);
    assert_int_equal(sync_head_at(&sync, 0).branch.head.sequence, 2);
    assert_one_statement(f, sync.receipts, RECEIPT_DURABLE);
    buffer_release(&body);

    body = hex_of("format/sync.md", "hex close");
    assert_int_equal(sync_close_decode(&close, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(close.reason, SYNC_CLOSE_EXITED);
    assert_one_statement(f, close.fences, RECEIPT_FENCE);
    buffer_release(&body);
}

static void the_prune_has_one_range(void **state)
{
    (void)state;
    struct buffer body = hex_of("format/prune.md", "hex prune"), again = BUFFER_EMPTY;
    struct prune_body prune;
    assert_int_equal(prune_decode(&prune, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(prune.manifest.head.sequence, 9);
    assert_int_equal(prune.range_count, 1);
    const struct prune_range range = prune_range_at(&prune, 0);
    assert_int_equal(range.from, 1);
    assert_int_equal(range.to, 7);
    assert_int_equal(prune_encode(&again, &prune, &range), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&body)));
    buffer_release(&again);
    buffer_release(&body);
}

static void the_deed_is_its_workers(void **state)
{
    (void)state;
    struct buffer bytes = hex_of("format/deed.md", "hex deed"), again = BUFFER_EMPTY;
    uint8_t seed[SIGN_SEED_BYTES];
    memset(seed, 7, sizeof seed);
    struct sign_key *key = sign_key_new_from_seed(seed);
    struct deed deed;
    assert_int_equal(deed_decode(&deed, buffer_bytes(&bytes)), STATUS_OK);
    assert_int_equal(deed_verify(&deed), STATUS_OK);
    assert_string_equal(deed.name, "orders");
    assert_int_equal(deed.sync_epoch, 5);
    const struct hash target =
        deed_target(bytes_text("POST"), bytes_text("/function/orders"), bytes_text(""));
    assert_true(hash_equal(&deed.target, &target));
    assert_int_equal(deed_encode(&again, &deed, key), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&bytes)));
    sign_key_free(key);
    buffer_release(&bytes);
    buffer_release(&again);
}

static void the_receipt_and_the_fence_are_a_stores(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = hex_of("format/receipt.md", "hex receipt");
    assert_statement(f, buffer_bytes(&bytes), RECEIPT_DURABLE);
    buffer_release(&bytes);
    bytes = hex_of("format/receipt.md", "hex fence");
    assert_statement(f, buffer_bytes(&bytes), RECEIPT_FENCE);
    buffer_release(&bytes);
}

static void the_batch_holds_the_tuples_that_are_told(void **state)
{
    (void)state;
    struct buffer plain = hex_of("format/data.md", "hex data");
    struct tuple_reader reader;
    struct tuple tuple;
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&plain)), STATUS_OK);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.lamport, 41);
    assert_true(bytes_equal(tuple.key, bytes_text("greeting")));
    assert_true(bytes_equal(tuple.value, bytes_text("hello")));
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.kind, TUPLE_DELETE);
    assert_int_equal(tuple.lamport, 42);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.lamport, 300);
    assert_true(tuple.expiry_ms == 1700000060000);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_EMPTY);
    buffer_release(&plain);

    plain = hex_of("format/data.md", "hex tagged");
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&plain)), STATUS_OK);
    assert_true(reader.tag.fence == lock_fence(1, 2));
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.lamport, 41);
    assert_true(bytes_equal(tuple.key, bytes_text("hits")));
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_EMPTY);
    buffer_release(&plain);
}

static void one_lock_names_a_record_and_one_is_void(void **state)
{
    (void)state;
    struct lock_body lock;
    struct buffer body = hex_of("format/lock.md", "hex lock");
    assert_int_equal(lock_decode(&lock, buffer_bytes(&body)), STATUS_OK);
    assert_true(lock.fence == lock_fence(1, 2));
    assert_int_equal(lock.record.head.sequence, 3);
    buffer_release(&body);
    body = hex_of("format/lock.md", "hex void");
    assert_int_equal(lock_decode(&lock, buffer_bytes(&body)), STATUS_OK);
    assert_true(lock_is_void(&lock));
    buffer_release(&body);
}

static void the_proofs_hold(void **state)
{
    (void)state;
    struct proof proof;
    struct buffer bytes = hex_of("format/proof.md", "hex fork");
    assert_int_equal(proof_verify(&proof, buffer_bytes(&bytes)), STATUS_OK);
    assert_int_equal(proof.kind, PROOF_FORK);
    buffer_release(&bytes);
    bytes = hex_of("format/proof.md", "hex rollback");
    assert_int_equal(proof_verify(&proof, buffer_bytes(&bytes)), STATUS_OK);
    assert_int_equal(proof.kind, PROOF_ROLLBACK);
    assert_int_equal(proof.sequence, 4);
    assert_int_equal(proof.warrant.heads[1].sequence, 8);
    assert_int_equal(proof.term, 5);
    assert_int_equal(proof.denied[1].sequence, 3);
    assert_true(proof.is_blamed[1] && proof.blamed_count == 1);
    buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_genesis_has_the_name_that_is_shown),
        cmocka_unit_test(the_snapshot_goes_on_from_what_is_told_and_is_written_so_again),
        cmocka_unit_test(the_term_is_of_that_capsule_and_owner),
        cmocka_unit_test(the_policy_and_the_function_are_the_owners),
        cmocka_unit_test(the_word_on_the_stores_is_the_owners),
        cmocka_unit_test(the_revocation_is_the_owners),
        cmocka_unit_test(the_record_is_the_members_and_holds_the_eoe),
        cmocka_unit_test(the_sync_and_the_close_rest_on_the_stores_statements),
        cmocka_unit_test(the_prune_has_one_range),
        cmocka_unit_test(the_deed_is_its_workers),
        cmocka_unit_test(the_receipt_and_the_fence_are_a_stores),
        cmocka_unit_test(the_proofs_hold),
        cmocka_unit_test(one_lock_names_a_record_and_one_is_void),
        cmocka_unit_test(the_batch_holds_the_tuples_that_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
