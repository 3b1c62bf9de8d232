/* src/attest/policy_tee.c */
#include "attest/policy_tee.h"

#include <stdio.h>
#include <string.h>

#include "attest/policy.h"
#include "attest/policy_internal.h"
#include "base/hex.h"

enum { NAME_BYTES = 96, SGX_PRODUCT_BYTES = 2, SNP_PRODUCT_BYTES = 32 };

static bool read_advisories(struct policy_tee *tee, const char *name, const json_t *value,
                            char *error)
{
    if (!json_is_array(value) || json_array_size(value) > POLICY_TEE_ADVISORY_COUNT_MAX) {
        return policy_fail(error, "member '%s' is no list; write [ ] around at most %d names", name,
                           POLICY_TEE_ADVISORY_COUNT_MAX);
    }
    tee->advisory_count = json_array_size(value);
    for (size_t i = 0; i < tee->advisory_count; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (text == NULL || text[0] == '\0' || strchr(text, ',') != NULL ||
            strlen(text) >= POLICY_TEE_ADVISORY_BYTES) {
            return policy_fail(error,
                               "member '%s[%zu]' is no advisory; write a name such as "
                               "INTEL-SA-00615",
                               name, i);
        }
        snprintf(tee->advisories[i], sizeof tee->advisories[i], "%s", text);
    }
    return true;
}

/* One member of one TEE. */
static bool read_member(struct policy_tee *tee, const char *tee_name, const char *member,
                        const json_t *value, char *error)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "tees.%s.%.32s", tee_name, member);
    if (strcmp(member, "tcb_statuses") == 0) {
        tee->has_tcb_statuses = true;
        return policy_read_statuses(&tee->tcb_statuses, name, value, error);
    }
    if (strcmp(member, "allow_debug") == 0) {
        tee->has_allow_debug = true;
        return policy_read_boolean(&tee->allow_debug, name, value, error);
    }
    if (strcmp(member, "max_collateral_age_days") == 0) {
        tee->has_max_collateral_age = true;
        return policy_read_integer(&tee->max_collateral_age_days, name, 1,
                                   POLICY_COLLATERAL_AGE_DAYS_MAX, value, error);
    }
    if (strcmp(member, "advisories") == 0) {
        tee->has_advisories = true;
        return read_advisories(tee, name, value, error);
    }
    if (strcmp(member, "min_tcb") == 0 && strcmp(tee_name, "sev-snp") == 0) {
        return policy_floor_read(&tee->floor, name, value, error);
    }
    if (strcmp(member, "rtmrs") == 0 && strcmp(tee_name, "tdx") == 0) {
        return policy_rtmr_read(&tee->rtmrs, name, value, error);
    }
    return policy_fail(error, "member '%s' is unknown; remove it", name);
}

static enum tee tee_parse(const char *name)
{
    for (enum tee tee = TEE_SIMULATED; tee < TEE_COUNT; tee++) {
        if (strcmp(verdict_tee_text(tee), name) == 0) {
            return tee;
        }
    }
    return TEE_UNKNOWN;
}

bool policy_tee_read(struct policy_tee *tees, const json_t *value, char *error)
{
    const char *name, *member;
    json_t *object, *said;
    if (!json_is_object(value)) {
        return policy_fail(error, "member 'tees' is no object; write {\"sgx\": {…}}");
    }
    json_object_foreach((json_t *)value, name, object)
    {
        enum tee tee = tee_parse(name);
        if (tee == TEE_UNKNOWN || !json_is_object(object)) {
            return policy_fail(error,
                               "member 'tees.%.32s' is no object for a TEE; the TEEs are sgx, tdx, "
                               "sev-snp and simulated",
                               name);
        }
        json_object_foreach(object, member, said)
        {
            if (!read_member(&tees[tee], name, member, said, error)) {
                return false;
            }
        }
    }
    return true;
}

/* A number for SGX, FAMILY_ID ‖ IMAGE_ID in digits for SEV-SNP. */
static bool read_product(struct policy_tee_signer *signer, const char *name, const json_t *value,
                         char *error)
{
    uint32_t number;
    if (signer->tee == TEE_SEV_SNP) {
        return policy_read_hex(&signer->product, name, SNP_PRODUCT_BYTES, SNP_PRODUCT_BYTES, value,
                               error);
    }
    if (!policy_read_integer(&number, name, 0, UINT16_MAX, value, error)) {
        return false;
    }
    const uint8_t bytes[SGX_PRODUCT_BYTES] = {(uint8_t)number, (uint8_t)(number >> 8)};
    signer->product = verdict_value_of(bytes_of(bytes, sizeof bytes));
    return true;
}

static bool read_signer(struct policy_tee_signer *signer, const char *name, const json_t *object,
                        char *error)
{
    enum { MEMBER_COUNT = 4 };
    char member[NAME_BYTES + 32];
    const char *tee = json_string_value(json_object_get(object, "tee"));
    signer->tee = tee == NULL ? TEE_UNKNOWN : tee_parse(tee);
    if (signer->tee != TEE_SGX && signer->tee != TEE_SEV_SNP) {
        return policy_fail(error,
                           "member '%s.tee' is missing or names no signers; write \"sgx\" or "
                           "\"sev-snp\"",
                           name);
    }
    size_t bytes = signer->tee == TEE_SGX ? 32 : 48;
    snprintf(member, sizeof member, "%s.signer", name);
    if (!policy_read_hex(&signer->signer, member, bytes, bytes, json_object_get(object, "signer"),
                         error)) {
        return false;
    }
    snprintf(member, sizeof member, "%s.product", name);
    if (!read_product(signer, member, json_object_get(object, "product"), error)) {
        return false;
    }
    snprintf(member, sizeof member, "%s.min_security_version", name);
    if (!policy_read_integer(&signer->min_security_version, member, 0, UINT32_MAX,
                             json_object_get(object, "min_security_version"), error)) {
        return false;
    }
    if (json_object_size(object) != MEMBER_COUNT) {
        return policy_fail(error,
                           "member '%s' has an unknown member; write tee, signer, product and "
                           "min_security_version",
                           name);
    }
    return true;
}

bool policy_tee_read_signers(struct policy_tee_signers *signers, const char *name,
                             const json_t *value, char *error)
{
    if (!json_is_array(value) || json_array_size(value) > POLICY_TEE_SIGNER_COUNT_MAX) {
        return policy_fail(error, "member '%s' is no list; write [ ] around at most %d signers",
                           name, POLICY_TEE_SIGNER_COUNT_MAX);
    }
    signers->count = json_array_size(value);
    for (size_t i = 0; i < signers->count; i++) {
        char item[NAME_BYTES];
        snprintf(item, sizeof item, "%.64s[%zu]", name, i);
        signers->values[i] = (struct policy_tee_signer){.tee = TEE_UNKNOWN};
        if (!read_signer(&signers->values[i], item, json_array_get(value, i), error)) {
            return false;
        }
    }
    return true;
}

/* A new object of what is said of one TEE, or NULL: no memory. */
static json_t *encode_tee(const struct policy_tee *tee)
{
    json_t *object = json_object();
    int failed = object == NULL;
    if (tee->has_tcb_statuses) {
        failed |=
            json_object_set_new(object, "tcb_statuses", policy_encode_statuses(tee->tcb_statuses));
    }
    if (tee->has_allow_debug) {
        failed |= json_object_set_new(object, "allow_debug", json_boolean(tee->allow_debug));
    }
    if (tee->has_max_collateral_age) {
        failed |= json_object_set_new(object, "max_collateral_age_days",
                                      json_integer((json_int_t)tee->max_collateral_age_days));
    }
    if (tee->has_advisories) {
        json_t *names = json_array();
        for (size_t i = 0; i < tee->advisory_count; i++) {
            failed |= json_array_append_new(names, json_string(tee->advisories[i]));
        }
        failed |= json_object_set_new(object, "advisories", names);
    }
    if (tee->floor.is_said) {
        failed |= json_object_set_new(object, "min_tcb", policy_floor_encode(&tee->floor));
    }
    if (tee->rtmrs.is_said) {
        failed |= json_object_set_new(object, "rtmrs", policy_rtmr_encode(&tee->rtmrs));
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *policy_tee_encode(const struct policy_tee *tees)
{
    json_t *object = json_object();
    int failed = object == NULL;
    for (enum tee tee = TEE_SIMULATED; tee < TEE_COUNT; tee++) {
        json_t *said = encode_tee(&tees[tee]);
        if (said != NULL && json_object_size(said) == 0) {
            json_decref(said);
        } else {
            failed |= json_object_set_new(object, verdict_tee_text(tee), said);
        }
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *encode_hex(const struct verdict_value *value)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(text, value->bytes, value->length);
    return json_string(text);
}

json_t *policy_tee_encode_signers(const struct policy_tee_signers *signers)
{
    json_t *array = json_array();
    for (size_t i = 0; i < signers->count; i++) {
        const struct policy_tee_signer *signer = &signers->values[i];
        json_int_t number = signer->product.bytes[0] | signer->product.bytes[1] << 8;
        json_t *product =
            signer->tee == TEE_SGX ? json_integer(number) : encode_hex(&signer->product);
        json_t *object =
            json_pack("{s:s, s:o, s:o, s:I}", "tee", verdict_tee_text(signer->tee), "signer",
                      encode_hex(&signer->signer), "product", product, "min_security_version",
                      (json_int_t)signer->min_security_version);
        if (json_array_append_new(array, object) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

bool policy_tee_admits(const struct policy_tee_signers *signers, const struct verdict *verdict)
{
    for (size_t i = 0; i < signers->count; i++) {
        const struct policy_tee_signer *signer = &signers->values[i];
        if (signer->tee == verdict->tee && verdict_value_equal(&signer->signer, &verdict->signer) &&
            verdict_value_equal(&signer->product, &verdict->product) &&
            verdict->security_version >= signer->min_security_version) {
            return true;
        }
    }
    return false;
}

static bool is_accepted(const struct policy_tee *tee, const char *name, size_t length)
{
    for (size_t i = 0; i < tee->advisory_count; i++) {
        if (strlen(tee->advisories[i]) == length &&
            strncmp(tee->advisories[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

bool policy_tee_accepts_advisories(const struct policy_tee *tee, const struct verdict *verdict,
                                   char name[POLICY_TEE_ADVISORY_BYTES])
{
    name[0] = '\0';
    if (!tee->has_advisories) {
        return true;
    }
    for (const char *at = verdict->advisories; *at != '\0'; at += strcspn(at, ",") + 1) {
        size_t length = strcspn(at, ",");
        if (!is_accepted(tee, at, length)) {
            snprintf(name, POLICY_TEE_ADVISORY_BYTES, "%.*s", (int)length, at);
            return false;
        }
    }
    return !verdict->has_more_advisories;
}
