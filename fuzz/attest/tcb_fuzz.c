/* fuzz/attest/tcb_fuzz.c */

/*
 * Hostile TCB info and QE identities: first as they are, then with a valid signature, so that what
 * lies behind the signature is read too. A platform that has a status reached a level.
 */
#include "attest/tcb.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto.h"
#include "tests/support/forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void judge(struct bytes text, EVP_PKEY *key)
{
    // Those of the corpus, so that its levels are reached.
    struct tcb_platform platform = {.fmspc = {0, 0x60, 0x6a}, .pcesvn = 13};
    const struct tcb_module first = {.svn = {5, 0, 3}}, second = {.svn = {5, 1, 3}};
    const struct tcb_module *modules[] = {NULL, &first, &second};
    struct tcb_enclave enclave = {.attributes = {0x11}, .product = 1, .security_version = 8};
    memset(platform.components, 7, sizeof platform.components);
    memset(enclave.signer, 0xbb, sizeof enclave.signer);
    for (size_t i = 0; i < 3; i++) {
        struct verdict verdict = verdict_at(1800000000);
        enum tcb_status status = TCB_UNKNOWN;
        bool is_judged = tcb_judge_platform(&verdict, &status, text, key, &platform, modules[i]);
        CHECK(!is_judged || status != TCB_UNKNOWN);
        CHECK(is_judged || verdict.detail[0] != '\0');
        status = TCB_UNKNOWN;
        is_judged = tcb_judge_enclave(&verdict, &status, text, key, &enclave, i > 0);
        CHECK(!is_judged || status != TCB_UNKNOWN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static EVP_PKEY *key;
    static const char *const names[] = {"tcbInfo", "enclaveIdentity"};
    crypto_init();
    if (key == NULL) {
        key = EVP_EC_gen("P-256");
        CHECK(key != NULL);
    }
    judge(bytes_of(bytes, length), key);
    for (size_t i = 0; i < 2; i++) {
        struct buffer text = BUFFER_EMPTY;
        forge_statement(&text, key, names[i], bytes_of(bytes, length));
        judge(buffer_bytes(&text), key);
        buffer_release(&text);
    }
    return 0;
}
