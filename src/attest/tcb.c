/* src/attest/tcb.c */
#include "attest/tcb.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "attest/signature.h"
#include "base/date.h"
#include "base/hex.h"

enum { LEVEL_COUNT_MAX = 256, MODULE_COUNT_MAX = 256 };

// ---- the envelope: {"tcbInfo":{…},"signature":"…"}, whose object is signed as it stands ----

struct scan {
    const char *at;
    size_t left;
};

static void scan_blanks(struct scan *in)
{
    while (in->left > 0 && strchr(" \t\r\n", *in->at) != NULL && *in->at != '\0') {
        in->at++;
        in->left--;
    }
}

static bool scan_sign(struct scan *in, char sign)
{
    scan_blanks(in);
    if (in->left == 0 || *in->at != sign) {
        return false;
    }
    in->at++;
    in->left--;
    return true;
}

/* A string without escapes; what is between its quotes. */
static bool scan_text(struct scan *in, struct bytes *text)
{
    if (!scan_sign(in, '"')) {
        return false;
    }
    const char *start = in->at;
    while (in->left > 0 && *in->at != '"' && *in->at != '\\') {
        in->at++;
        in->left--;
    }
    *text = bytes_of(start, (size_t)(in->at - start));
    return scan_sign(in, '"');
}

/* An object or a list: from its bracket to the one that closes it. */
static bool scan_nested(struct scan *in)
{
    size_t depth = 0;
    bool is_text = false;
    while (in->left > 0) {
        char sign = *in->at++;
        in->left--;
        if (is_text) {
            if (sign == '\\' && in->left > 0) {
                in->at++;
                in->left--;
            }
            is_text = sign != '"';
        } else if (sign == '"') {
            is_text = true;
        } else if (sign == '{' || sign == '[') {
            depth++;
        } else if ((sign == '}' || sign == ']') && --depth == 0) {
            return true;
        }
    }
    return false;
}

/* A string's quotes and all between them, or a number or word. */
static bool scan_plain(struct scan *in)
{
    const char *start = in->at;
    bool is_text = *start == '"';
    while (in->left > 0) {
        if (is_text ? in->at > start && *in->at == '"' : strchr(" \t\r\n,}", *in->at) != NULL) {
            break;
        }
        size_t step = is_text && *in->at == '\\' && in->left > 1 ? 2 : 1;
        in->at += step;
        in->left -= step;
    }
    return is_text ? scan_sign(in, '"') : in->at > start;
}

/* Any value. Whether it is JSON, the parser says of the one that counts. */
static bool scan_value(struct scan *in, struct bytes *value)
{
    scan_blanks(in);
    const char *start = in->at;
    bool is_read =
        in->left > 0 && (*start == '{' || *start == '[' ? scan_nested(in) : scan_plain(in));
    *value = bytes_of(start, (size_t)(in->at - start));
    return is_read;
}

/* The two members, each once; what else there is was not signed, and says nothing. */
static bool scan_envelope(struct bytes text, const char *name, struct bytes *content,
                          struct bytes *signature)
{
    struct scan in = {.at = (const char *)text.at, .left = text.length};
    while (in.left > 0 && in.at[in.left - 1] == '\0') {
        in.left--;  // the end of a C string
    }
    size_t content_count = 0, signature_count = 0;
    if (!scan_sign(&in, '{')) {
        return false;
    }
    do {
        struct bytes member, value;
        bool is_read = scan_text(&in, &member) && scan_sign(&in, ':');
        if (is_read && bytes_equal(member, bytes_text("signature"))) {
            signature_count++;
            is_read = scan_text(&in, signature);
        } else if (is_read && bytes_equal(member, bytes_text(name))) {
            content_count++;
            is_read = scan_value(&in, content) && content->at[0] == '{';
        } else {
            is_read = is_read && scan_value(&in, &value);
        }
        if (!is_read) {
            return false;
        }
    } while (scan_sign(&in, ','));
    bool is_closed = scan_sign(&in, '}');
    scan_blanks(&in);
    return content_count == 1 && signature_count == 1 && is_closed && in.left == 0;
}

// ---- members ----

static bool read_hex(uint8_t *target, size_t length, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) &&
           hex_decode(target, length, json_string_value(value), json_string_length(value));
}

static bool read_number(uint32_t *target, uint32_t max, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > max) {
        return false;
    }
    *target = (uint32_t)json_integer_value(value);
    return true;
}

static bool read_date(uint64_t *unix_s, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) &&
           date_parse(unix_s, bytes_of(json_string_value(value), json_string_length(value)));
}

static bool has_text(const json_t *object, const char *name, const char *text)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value != NULL && strcmp(value, text) == 0;
}

/* Whether value & mask is what the vendor expects. */
static bool is_masked(const json_t *object, const char *name, const char *mask_name,
                      const uint8_t *value, size_t length)
{
    uint8_t expected[16], mask[16];
    if (length > sizeof mask || !read_hex(expected, length, object, name) ||
        !read_hex(mask, length, object, mask_name)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((value[i] & mask[i]) != expected[i]) {
            return false;
        }
    }
    return true;
}

/* The status of a level and its advisories. False: it has no status that we know. */
static bool take_level(struct verdict *verdict, enum tcb_status *status, const json_t *level)
{
    const char *text = json_string_value(json_object_get(level, "tcbStatus"));
    const json_t *advisories = json_object_get(level, "advisoryIDs");
    *status = text == NULL ? TCB_UNKNOWN : verdict_tcb_parse(text);
    for (size_t i = 0; i < json_array_size(advisories); i++) {
        const char *name = json_string_value(json_array_get(advisories, i));
        verdict_add_advisory(verdict, name == NULL ? "" : name);
    }
    return *status != TCB_UNKNOWN;
}

// ---- statements ----

/* A statement: who it is by, and when it is in force. The caller frees it with json_decref(). */
static json_t *statement_open(struct verdict *verdict, const char *what, const char *name,
                              struct bytes text, EVP_PKEY *key)
{
    // Empty, for a compiler that inlines the scan and does not see that it gave both.
    struct bytes content = {.at = NULL}, digits = {.at = NULL};
    uint8_t signature[TCB_SIGNATURE_BYTES];
    uint64_t issued_s, until_s;
    if (!scan_envelope(text, name, &content, &digits) ||
        !hex_decode(signature, sizeof signature, (const char *)digits.at, digits.length)) {
        verdict_refuse(verdict, REASON_COLLATERAL,
                       "%s: %zu bytes are no object with '%s' and 'signature'", what, text.length,
                       name);
        return NULL;
    }
    if (!signature_verify_raw(SIGNATURE_P256_SHA256, key, content,
                              bytes_of(signature, sizeof signature))) {
        verdict_refuse(verdict, REASON_COLLATERAL, "%s: its issuer did not sign it", what);
        return NULL;
    }
    json_t *object =
        json_loadb((const char *)content.at, content.length, JSON_REJECT_DUPLICATES, NULL);
    if (object == NULL || !read_date(&issued_s, object, "issueDate") ||
        !read_date(&until_s, object, "nextUpdate")) {
        verdict_refuse(verdict, REASON_COLLATERAL, "%s: it has no dates, or is no JSON text", what);
    } else if (verdict_narrow(verdict, REASON_COLLATERAL_EXPIRED, what, issued_s, until_s)) {
        verdict_note_issue(verdict, issued_s);
        return object;
    }
    json_decref(object);
    return NULL;
}

/*
 * The first level that `reaches` says the subject has. NULL: it is below all, or one is malformed.
 */
static const json_t *find_level(const json_t *object, const void *subject,
                                bool (*reaches)(const void *subject, const json_t *tcb,
                                                bool *is_reached))
{
    const json_t *levels = json_object_get(object, "tcbLevels");
    if (json_array_size(levels) > LEVEL_COUNT_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(levels); i++) {
        const json_t *level = json_array_get(levels, i);
        bool is_reached = false;
        if (!reaches(subject, json_object_get(level, "tcb"), &is_reached)) {
            return NULL;
        }
        if (is_reached) {
            return level;
        }
    }
    return NULL;
}

/* One version number. */
static bool reaches_version(const void *subject, const json_t *tcb, bool *is_reached)
{
    const uint32_t *version = subject;
    uint32_t needed;
    bool is_read = read_number(&needed, UINT16_MAX, tcb, "isvsvn");
    *is_reached = is_read && *version >= needed;
    return is_read;
}

// ---- TCB info ----

struct platform_subject {
    const struct tcb_platform *platform;
    const struct tcb_module *module;
    bool is_flat;  // version 2
};

/* False: a component is missing or malformed. */
static bool read_components(uint8_t target[TCB_COMPONENT_COUNT], const json_t *tcb,
                            const char *name)
{
    const json_t *array = json_object_get(tcb, name);
    if (json_array_size(array) != TCB_COMPONENT_COUNT) {
        return false;
    }
    for (size_t i = 0; i < TCB_COMPONENT_COUNT; i++) {
        uint32_t svn;
        if (!read_number(&svn, UINT8_MAX, json_array_get(array, i), "svn")) {
            return false;
        }
        target[i] = (uint8_t)svn;
    }
    return true;
}

static bool read_flat_components(uint8_t target[TCB_COMPONENT_COUNT], const json_t *tcb)
{
    for (unsigned i = 0; i < TCB_COMPONENT_COUNT; i++) {
        char name[32];
        uint32_t svn;
        snprintf(name, sizeof name, "sgxtcbcomp%02usvn", i + 1);
        if (!read_number(&svn, UINT8_MAX, tcb, name)) {
            return false;
        }
        target[i] = (uint8_t)svn;
    }
    return true;
}

static bool all_reach(const uint8_t *have, const uint8_t *needed, size_t from)
{
    for (size_t i = from; i < TCB_COMPONENT_COUNT; i++) {
        if (have[i] < needed[i]) {
            return false;
        }
    }
    return true;
}

static bool reaches_platform(const void *subject, const json_t *tcb, bool *is_reached)
{
    const struct platform_subject *it = subject;
    uint8_t sgx[TCB_COMPONENT_COUNT], tdx[TCB_COMPONENT_COUNT] = {0};
    uint32_t pcesvn;
    if (!read_number(&pcesvn, UINT16_MAX, tcb, "pcesvn") ||
        !(it->is_flat ? read_flat_components(sgx, tcb)
                      : read_components(sgx, tcb, "sgxtcbcomponents")) ||
        (it->module != NULL && !read_components(tdx, tcb, "tdxtcbcomponents"))) {
        return false;
    }
    *is_reached = all_reach(it->platform->components, sgx, 0) && it->platform->pcesvn >= pcesvn;
    if (it->module != NULL) {
        // From version 1 on a module has an identity of its own, by which its two numbers are
        // judged; the first modules are judged by the level, like everything else.
        size_t from = it->module->svn[1] > 0 ? 2 : 0;
        *is_reached = *is_reached && all_reach(it->module->svn, tdx, from);
    }
    return true;
}

/* The identity that a module has to have. NULL: the vendor knows no such module. */
static const json_t *find_module(const json_t *info, const struct tcb_module *module)
{
    if (module->svn[1] == 0) {
        return json_object_get(info, "tdxModule");
    }
    const json_t *identities = json_object_get(info, "tdxModuleIdentities");
    char wanted[16];
    snprintf(wanted, sizeof wanted, "TDX_%02X", module->svn[1]);
    for (size_t i = 0; i < json_array_size(identities) && i < MODULE_COUNT_MAX; i++) {
        const json_t *identity = json_array_get(identities, i);
        const char *id = json_string_value(json_object_get(identity, "id"));
        if (id != NULL && strcasecmp(id, wanted) == 0) {
            return identity;
        }
    }
    return NULL;
}

static bool judge_module(struct verdict *verdict, enum tcb_status *status, const json_t *info,
                         const struct tcb_module *module)
{
    uint8_t signer[TCB_MODULE_SIGNER_BYTES];
    const json_t *identity = find_module(info, module);
    uint32_t version = module->svn[0];
    if (identity == NULL || !read_hex(signer, sizeof signer, identity, "mrsigner") ||
        memcmp(signer, module->signer, sizeof signer) != 0 ||
        !is_masked(identity, "attributes", "attributesMask", module->attributes,
                   sizeof module->attributes)) {
        return verdict_refuse(verdict, REASON_COLLATERAL,
                              "the TCB info lists no TDX module of major version %u with the "
                              "quote's MRSIGNERSEAM and SEAM attributes",
                              module->svn[1]);
    }
    *status = TCB_UP_TO_DATE;
    if (module->svn[1] == 0) {
        return true;  // the platform's level says how current it is
    }
    const json_t *level = find_level(identity, &version, reaches_version);
    if (level == NULL || !take_level(verdict, status, level)) {
        return verdict_refuse(verdict, REASON_TCB_STATUS,
                              "TDX module %u with version %u is below every level of its identity",
                              module->svn[1], version);
    }
    return true;
}

/* Whether the statement is about this platform at all. */
static bool speaks_of(struct verdict *verdict, const json_t *info,
                      const struct tcb_platform *platform, uint32_t version, bool is_tdx)
{
    uint8_t fmspc[TCB_FMSPC_BYTES], pceid[TCB_PCEID_BYTES];
    uint32_t type;
    if (version < 2 || version > 3 || !read_number(&type, 0, info, "tcbType") ||
        !read_hex(fmspc, sizeof fmspc, info, "fmspc") ||
        !read_hex(pceid, sizeof pceid, info, "pceId")) {
        return verdict_refuse(verdict, REASON_COLLATERAL,
                              "TCB info: version %u, or its type, FMSPC or PCEID, is unknown",
                              version);
    }
    // Version 2 is older than TDX, and has no id.
    bool is_of_tee = version == 2 ? !is_tdx && json_object_get(info, "id") == NULL
                                  : has_text(info, "id", is_tdx ? "TDX" : "SGX");
    if (!is_of_tee) {
        return verdict_refuse(verdict, REASON_COLLATERAL, "TCB info: it is not that of %s",
                              is_tdx ? "TDX" : "SGX");
    }
    if (memcmp(fmspc, platform->fmspc, sizeof fmspc) != 0 ||
        memcmp(pceid, platform->pceid, sizeof pceid) != 0) {
        char theirs[2 * TCB_FMSPC_BYTES + 1], ours[2 * TCB_FMSPC_BYTES + 1];
        hex_encode(theirs, fmspc, sizeof fmspc);
        hex_encode(ours, platform->fmspc, sizeof platform->fmspc);
        return verdict_refuse(verdict, REASON_COLLATERAL,
                              "TCB info: FMSPC %s, PCEID %02x%02x; the platform's are %s, %02x%02x",
                              theirs, pceid[0], pceid[1], ours, platform->pceid[0],
                              platform->pceid[1]);
    }
    return true;
}

bool tcb_judge_platform(struct verdict *verdict, enum tcb_status *status, struct bytes text,
                        EVP_PKEY *key, const struct tcb_platform *platform,
                        const struct tcb_module *module)
{
    enum tcb_status module_status = TCB_UP_TO_DATE;
    uint32_t version = 0;
    bool is_judged = false;
    json_t *info = statement_open(verdict, "TCB info", "tcbInfo", text, key);
    if (info == NULL || (!read_number(&version, UINT16_MAX, info, "version") &&
                         !verdict_refuse(verdict, REASON_COLLATERAL, "TCB info: no version"))) {
        goto done;
    }
    if (!speaks_of(verdict, info, platform, version, module != NULL) ||
        (module != NULL && !judge_module(verdict, &module_status, info, module))) {
        goto done;
    }
    const struct platform_subject subject = {
        .platform = platform,
        .module = module,
        .is_flat = version == 2,
    };
    const json_t *level = find_level(info, &subject, reaches_platform);
    if (level == NULL || !take_level(verdict, status, level)) {
        char components[2 * TCB_COMPONENT_COUNT + 1], tdx[2 * TCB_COMPONENT_COUNT + 1] = "none";
        hex_encode(components, platform->components, sizeof platform->components);
        if (module != NULL) {
            hex_encode(tdx, module->svn, sizeof module->svn);
        }
        verdict_refuse(verdict, REASON_TCB_STATUS,
                       "components %s, PCESVN %u, TDX %s are below every level of the TCB info",
                       components, platform->pcesvn, tdx);
        goto done;
    }
    *status = verdict_tcb_worst(*status, module_status);
    is_judged = true;

done:
    json_decref(info);
    return is_judged;
}

// ---- QE identity ----

static bool is_identity_of(const json_t *identity, const struct tcb_enclave *enclave)
{
    uint8_t signer[TCB_ENCLAVE_SIGNER_BYTES];
    uint32_t product;
    return is_masked(identity, "miscselect", "miscselectMask", enclave->misc_select,
                     sizeof enclave->misc_select) &&
           is_masked(identity, "attributes", "attributesMask", enclave->attributes,
                     sizeof enclave->attributes) &&
           read_hex(signer, sizeof signer, identity, "mrsigner") &&
           memcmp(signer, enclave->signer, sizeof signer) == 0 &&
           read_number(&product, UINT16_MAX, identity, "isvprodid") && product == enclave->product;
}

bool tcb_judge_enclave(struct verdict *verdict, enum tcb_status *status, struct bytes text,
                       EVP_PKEY *key, const struct tcb_enclave *enclave, bool is_tdx)
{
    uint32_t version = 0, security_version = enclave->security_version;
    bool is_judged = false;
    json_t *identity = statement_open(verdict, "QE identity", "enclaveIdentity", text, key);
    if (identity == NULL) {
        return false;
    }
    const json_t *level = find_level(identity, &security_version, reaches_version);
    if (!read_number(&version, 2, identity, "version") || version != 2 ||
        !has_text(identity, "id", is_tdx ? "TD_QE" : "QE")) {
        verdict_refuse(verdict, REASON_COLLATERAL,
                       "QE identity: it is not version 2 of the quoting enclave for %s",
                       is_tdx ? "TDX" : "SGX");
    } else if (!is_identity_of(identity, enclave)) {
        char signer[2 * TCB_ENCLAVE_SIGNER_BYTES + 1];
        hex_encode(signer, enclave->signer, sizeof enclave->signer);
        verdict_refuse(verdict, REASON_QE_BINDING,
                       "the quoting enclave (MRSIGNER %s, product %u), its attributes or its misc "
                       "select are not those of the QE identity",
                       signer, enclave->product);
    } else if (level == NULL || !take_level(verdict, status, level)) {
        verdict_refuse(verdict, REASON_TCB_STATUS,
                       "quoting enclave version %u is below every level of the QE identity",
                       enclave->security_version);
    } else {
        is_judged = true;
    }
    json_decref(identity);
    return is_judged;
}
