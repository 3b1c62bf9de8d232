/* fuzz/attest/tcb_fuzz.c */

/*
 * Hostile TCB info and QE identities: first as they are, then with a valid signature, so that what
 * lies behind the signature is read too. A platform that has a status reached a level.
 */
#include "attest/tcb.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/signature.h"
#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* r ‖ s as hexadecimal digits. */
static void sign(EVP_PKEY *key, struct bytes message, char digits[129])
{
    uint8_t der[128], raw[64];
    size_t length = sizeof der;
    EVP_MD_CTX *digests = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(digests, NULL, EVP_sha256(), NULL, key) == 1);
    CHECK(EVP_DigestSign(digests, der, &length, message.at, message.length) == 1);
    EVP_MD_CTX_free(digests);
    const uint8_t *at = der;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &at, (long)length);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), raw, 32) == 32);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), raw + 32, 32) == 32);
    ECDSA_SIG_free(numbers);
    for (size_t i = 0; i < sizeof raw; i++) {
        snprintf(digits + 2 * i, 3, "%02x", raw[i]);
    }
}

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
    char digits[129];
    sign(key, bytes_of(bytes, length), digits);
    for (size_t i = 0; i < 2; i++) {
        struct buffer text = BUFFER_EMPTY;
        char head[64], tail[160];
        snprintf(head, sizeof head, "{\"%s\":", names[i]);
        snprintf(tail, sizeof tail, ",\"signature\":\"%s\"}", digits);
        CHECK(buffer_append(&text, head, strlen(head)) == STATUS_OK);
        CHECK(buffer_append(&text, bytes, length) == STATUS_OK);
        CHECK(buffer_append(&text, tail, strlen(tail)) == STATUS_OK);
        judge(buffer_bytes(&text), key);
        buffer_release(&text);
    }
    return 0;
}
