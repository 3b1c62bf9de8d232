/* bench/e2e/history.c */
#include "bench/e2e/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/encoder.h"
#include "capsule/capsule.h"
#include "capsule/keys.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"
#include "host/home.h"
#include "store/store.h"

struct writer {
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct head head;
};

struct history {
    struct app app;
    struct hash capsule;
    struct sign_key *owner;
    struct secret *seed;
    struct home home;
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct random random;
    struct writer leader;
    struct writer worker;
    struct aead_key *body_key;
    uint64_t lamport;
    uint64_t joined_lamport;
    struct hash sync;  // zero: none yet
    uint64_t sync_epoch;
    bool names_join;  // the worker's next record does
    struct buffer record;
    struct buffer receipt;
};

static void must(enum status status)
{
    CHECK(status == STATUS_OK);
}

static struct writer writer_make(const struct random *random)
{
    struct writer writer = {.key = sign_key_new(random)};
    writer.public_key = sign_key_public(writer.key);
    writer.id = writer_id_of(&writer.public_key);
    return writer;
}

static void append(struct history *history, struct writer *writer, enum record_type type,
                   struct bytes body, const struct hash *heads, size_t head_count)
{
    struct hash parents[3];
    struct record_fields fields = {
        .type = type,
        .key_epoch = type == RECORD_DATA ? 1 : 0,
        .sequence = writer->head.sequence + 1,
        .epoch = history->sync_epoch + 1,
        .writer = writer->id,
        .capsule = history->capsule,
        .parents = parents,
    };
    if (writer->head.sequence > 0) {
        parents[fields.parent_count++] = writer->head.hash;
    }
    for (size_t i = 0; i < head_count; i++) {
        parents[fields.parent_count++] = heads[i];
    }
    if (writer == &history->worker && history->names_join) {
        parents[fields.parent_count++] = history->sync;
        history->names_join = false;
    }
    struct hash hash;
    struct record record;
    struct buffer proof = BUFFER_EMPTY;
    buffer_clear(&history->record);
    must(type == RECORD_DATA
             ? seal_record(&history->record, &hash, &fields, body, history->body_key, writer->key)
             : record_encode(&history->record, &hash, &fields, body, writer->key));
    must(record_decode(&record, history->record.bytes, history->record.length));
    enum status status = store_append(history->store, &record, &proof);
    if (status != STATUS_OK) {
        fprintf(stderr, "bench: %s\n", capsule_reason(store_capsule(history->store)));
    }
    must(status);
    writer->head = (struct head){.sequence = record.sequence, .hash = record.hash};
}

static void begin(struct history *history)
{
    struct buffer body = BUFFER_EMPTY;
    const struct term term = {
        .capsule = history->capsule,
        .number = 1,
        .leader = history->leader.public_key,
        .evidence = bytes_text("evidence"),
    };
    append(history, &history->leader, RECORD_GENESIS, buffer_bytes(&history->app.genesis_body),
           NULL, 0);
    must(term_encode(&body, &term, history->owner));
    append(history, &history->leader, RECORD_TERM, buffer_bytes(&body), NULL, 0);

    struct member_body member = {
        .key = history->worker.public_key,
        .role = MEMBER_WORKER,
        .policy_version = 1,
        .tls_key = {.bytes = {4}},
        .evidence = bytes_text("evidence"),
    };
    buffer_clear(&body);
    must(member_encode(&body, &member));
    append(history, &history->leader, RECORD_MEMBER, buffer_bytes(&body), NULL, 0);
    buffer_release(&body);
}

static void put(struct history *history, struct tuple_batch *batch, uint64_t number)
{
    char key[32], value[HISTORY_VALUE_BYTES + 1];
    snprintf(key, sizeof key, "k%" PRIu64, number);
    snprintf(value, sizeof value, "%0*" PRIu64, HISTORY_VALUE_BYTES, number);
    const struct tuple tuple = {
        .kind = TUPLE_PUT,
        .lamport = ++history->lamport,
        .key = bytes_text(key),
        .value = bytes_text(value),
    };
    tuple_batch_clear(batch);
    must(tuple_batch_add(batch, &tuple));
    append(history, &history->worker, RECORD_DATA, buffer_bytes(&batch->plain), NULL, 0);
}

static void end_epoch(struct history *history)
{
    struct buffer body = BUFFER_EMPTY, receipts = BUFFER_EMPTY;
    const struct eoe eoe = {
        .epoch = history->sync_epoch + 1, .lamport = history->lamport, .sync = history->sync};
    must(sync_eoe_encode(&body, &eoe, NULL));
    append(history, &history->worker, RECORD_EOE, buffer_bytes(&body), NULL, 0);
    buffer_clear(&history->receipt);
    must(store_commit(history->store, &history->receipt));

    uint8_t length[4];
    struct encoder out = encoder_over(length, sizeof length);
    encoder_u32(&out, (uint32_t)history->receipt.length);
    must(buffer_append(&receipts, length, sizeof length));
    must(buffer_append(&receipts, history->receipt.bytes, history->receipt.length));
    const struct sync_head head = {
        .branch = {.writer = history->worker.id, .head = history->worker.head}};
    const struct sync_body sync = {
        .term = 1,
        .time_ms = history->sync_epoch,
        .lamport = history->lamport,
        .floor = history->joined_lamport,
        .head_count = 1,
        .receipts = buffer_bytes(&receipts),
    };
    buffer_clear(&body);
    must(sync_encode(&body, &sync, &head));
    append(history, &history->leader, RECORD_SYNC, buffer_bytes(&body), &head.branch.head.hash, 1);
    buffer_clear(&history->receipt);
    must(store_commit(history->store, &history->receipt));
    history->sync = history->leader.head.hash;
    history->sync_epoch++;
    history->joined_lamport = history->lamport;
    history->names_join = true;
    buffer_release(&body);
    buffer_release(&receipts);
}

static void open_all(struct history *history, const char *directory)
{
    char state[FILE_PATH_BYTES], path[HOME_PATH_BYTES_MAX], error[HOST_ERROR_BYTES_MAX];
    struct command_line line = {.values = {{.name = "app", .text = directory}}, .value_count = 1};
    *history = (struct history){.random = random_kernel(), .home = HOME_NONE};
    must(app_open(&history->app, &line));
    must(app_key(&history->app, APP_OWNER_KEY, &history->owner));
    must(app_seed(&history->app, &history->seed));
    app_path(&history->app, APP_HOST, state);
    must(home_open(&history->home, state, error));
    must(home_path(path, state, "capsule"));
    must(disk_posix_open(&history->posix, &history->disk, path));
    const struct store_config config = {
        .disk = &history->disk,
        .genesis = buffer_bytes(&history->app.genesis_body),
        .key = history->home.places->key,
    };
    must(store_open(&history->store, &config));
    history->capsule = *capsule_name(store_capsule(history->store));
    history->leader = writer_make(&history->random);
    history->worker = writer_make(&history->random);
    struct secret *data_key = keys_data(history->seed, &history->capsule, 1);
    history->body_key = seal_key_new(data_key, &history->capsule, &history->worker.public_key);
    secret_free(data_key);
}

static void close_all(struct history *history)
{
    store_close(history->store);
    disk_posix_close(history->posix);
    home_close(&history->home);
    app_release(&history->app);
    sign_key_free(history->owner);
    sign_key_free(history->leader.key);
    sign_key_free(history->worker.key);
    secret_free(history->seed);
    aead_key_free(history->body_key);
    buffer_release(&history->record);
    buffer_release(&history->receipt);
}

void history_write(const char *directory, uint64_t record_count)
{
    struct history history;
    struct tuple_batch batch = {.plain = BUFFER_EMPTY};
    open_all(&history, directory);
    begin(&history);
    for (uint64_t i = 0; i < record_count; i++) {
        put(&history, &batch, i);
        if ((i + 1) % HISTORY_EPOCH_RECORDS == 0 || i + 1 == record_count) {
            end_epoch(&history);
        }
    }
    const struct app_sync sync = {.epoch = history.sync_epoch, .hash = history.sync};
    must(app_raise(&history.app, APP_TERM, 1));
    must(app_sync_replace(&history.app, &sync));
    tuple_batch_release(&batch);
    close_all(&history);
}
