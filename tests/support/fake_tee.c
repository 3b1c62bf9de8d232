/* tests/support/fake_tee.c */
#include "tests/support/fake_tee.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "attest/collateral.h"
#include "base/check.h"
#include "base/encoder.h"

enum {
    OUTBLOB_BYTES_MAX = 32 << 10,
    TDX_PADDED_BYTES = 8000,  // quotes were seen with zeroes up to there
    TABLE_ENTRY_BYTES = 24,
};

enum attribute {
    PROVIDER,
    INBLOB,
    OUTBLOB,
    AUXBLOB,
    GENERATION,
    ATTESTATION_TYPE,
    USER_REPORT_DATA,
    QUOTE,
    ATTRIBUTE_COUNT,
};

static const struct {
    const char *name;
    bool is_of_gramine;
    bool may_read;
    bool may_write;
} attributes[ATTRIBUTE_COUNT] = {
    [PROVIDER] = {"provider", false, true, false},
    [INBLOB] = {"inblob", false, false, true},
    [OUTBLOB] = {"outblob", false, true, false},
    [AUXBLOB] = {"auxblob", false, true, false},
    [GENERATION] = {"generation", false, true, false},
    [ATTESTATION_TYPE] = {"attestation_type", true, true, false},
    [USER_REPORT_DATA] = {"user_report_data", true, true, true},
    [QUOTE] = {"quote", true, true, false},
};

static int fail(int cause)
{
    errno = cause;
    return -1;
}

static bool is_gramine(const struct fake_tee *fake)
{
    return fake->order.tee == TEE_SGX;
}

static void append(struct buffer *target, const void *bytes, size_t length)
{
    CHECK(buffer_append(target, bytes, length) == STATUS_OK);
}

// ---- what is made ----

static void make(struct fake_tee *fake, const uint8_t *report_data, struct buffer *quote,
                 struct buffer *bundle)
{
    memcpy(fake->order.report_data, report_data, sizeof fake->order.report_data);
    forge_make(fake->forge, &fake->order, quote, bundle);
    fake->made_count++;
}

/* The host's table: first the entries, then what they point to. */
static void make_table(const struct fake_tee *fake, struct bytes bundle, struct buffer *table)
{
    static const struct {
        enum collateral_kind kind;
        uint8_t name[16];
        uint8_t turned[16];
    } names[] = {
        {COLLATERAL_VCEK,
         {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
          0xcd},
         {0x8d, 0x75, 0xda, 0x63, 0x64, 0xe6, 0x64, 0x45, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
          0xcd}},
        {COLLATERAL_VLEK,
         {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
          0xa1},
         {0xc2, 0x4b, 0x07, 0xa8, 0x5a, 0xa2, 0x3e, 0x48, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
          0xa1}},
        {COLLATERAL_ASK,
         {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
          0x82},
         {0x79, 0xb3, 0xb7, 0x4a, 0xac, 0xbb, 0xe4, 0x4f, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
          0x82}},
        {COLLATERAL_ARK,
         {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
          0xae},
         {0xa4, 0x06, 0xb4, 0xc0, 0x03, 0xa8, 0x52, 0x49, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
          0xae}},
    };
    enum { NAME_COUNT = sizeof names / sizeof *names };
    struct collateral documents;
    CHECK(collateral_decode(&documents, bundle) == STATUS_OK);
    size_t offset = (NAME_COUNT + 1) * TABLE_ENTRY_BYTES;
    struct encoder out;
    CHECK(encoder_begin(&out, table, offset) == STATUS_OK);
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const uint8_t *name = fake->are_names_turned ? names[i].turned : names[i].name;
        encoder_bytes(&out, name, 16);
        encoder_u32(&out, (uint32_t)offset + (fake->has_broken_certificates ? 1u << 20 : 0));
        encoder_u32(&out, (uint32_t)documents.documents[names[i].kind].length);
        offset += documents.documents[names[i].kind].length;
    }
    for (size_t i = 0; i < TABLE_ENTRY_BYTES; i++) {
        encoder_u8(&out, 0);
    }
    encoder_finish(&out, table);
    for (size_t i = 0; i < NAME_COUNT; i++) {
        struct bytes document = documents.documents[names[i].kind];
        append(table, document.at, document.length);
    }
}

/* What the driver does when a report is due. 0, or errno. */
static int make_report(struct fake_tee *fake, struct fake_tee_request *request)
{
    struct buffer bundle = BUFFER_EMPTY;
    if (request->inblob_bytes != sizeof request->inblob) {
        return EINVAL;  // of both drivers
    }
    if (fake->failure != 0) {
        return fake->failure;
    }
    buffer_clear(&request->outblob);
    buffer_clear(&request->auxblob);
    make(fake, request->inblob, &request->outblob, &bundle);
    while (fake->order.tee == TEE_TDX && request->outblob.length < TDX_PADDED_BYTES) {
        append(&request->outblob, "", 1);
    }
    if (fake->order.tee == TEE_SEV_SNP && !fake->has_no_certificates) {
        make_table(fake, buffer_bytes(&bundle), &request->auxblob);
    }
    buffer_release(&bundle);
    request->read_generation = request->write_generation;
    return 0;
}

/* What a read finds. 0, or errno. */
static int fill(struct fake_tee *fake, struct fake_tee_open *file)
{
    struct fake_tee_request *request = file->request;
    char number[24];
    int cause = 0;
    switch ((enum attribute)file->attribute) {
    case PROVIDER:
        append(&file->bytes, fake->order.tee == TEE_TDX ? "tdx_guest\n" : "sev_guest\n", 10);
        return 0;
    case GENERATION:
        append(&file->bytes, number,
               (size_t)snprintf(number, sizeof number, "%" PRIu64 "\n", request->write_generation));
        return 0;
    case OUTBLOB:
    case AUXBLOB:
        if (fake->intruder_count > 0 && request->inblob_bytes > 0) {
            fake->intruder_count--;
            memset(request->inblob, 0x66, sizeof request->inblob);
            request->write_generation++;
        }
        if (request->inblob_bytes == 0) {
            return EINVAL;
        }
        if (request->outblob.length == 0 || request->read_generation != request->write_generation) {
            cause = make_report(fake, request);
        }
        if (cause == 0) {
            const struct buffer *blob =
                file->attribute == OUTBLOB ? &request->outblob : &request->auxblob;
            append(&file->bytes, blob->bytes, blob->length);
            cause = blob->length > OUTBLOB_BYTES_MAX ? EFBIG : 0;
        }
        return cause;
    case ATTESTATION_TYPE:
        append(&file->bytes, fake->attestation_type, strlen(fake->attestation_type));
        return 0;
    case USER_REPORT_DATA:
        append(&file->bytes, fake->report_data, sizeof fake->report_data);
        return 0;
    case INBLOB:
    case QUOTE:
    case ATTRIBUTE_COUNT:
        break;
    }
    return 0;  // a quote was made at open
}

// ---- the calls ----

/* The request that `path` lies in, and what follows its name; or NULL. */
static struct fake_tee_request *find_request(struct fake_tee *fake, const char *name, size_t length)
{
    for (size_t i = 0; i < FAKE_TEE_REQUESTS_MAX; i++) {
        struct fake_tee_request *request = &fake->requests[i];
        if (request->is_used && strlen(request->name) == length &&
            memcmp(request->name, name, length) == 0) {
            return request;
        }
    }
    return NULL;
}

/* What comes behind the root. NULL: it lies elsewhere. */
static const char *below_root(const struct fake_tee *fake, const char *path)
{
    size_t length = strlen(fake->root);
    return strncmp(path, fake->root, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

static int fake_mkdir(void *context, const char *path)
{
    struct fake_tee *fake = context;
    const char *name = below_root(fake, path);
    if (name == NULL || is_gramine(fake) || strchr(name, '/') != NULL) {
        return fail(ENOENT);
    }
    if (fake->has_no_driver) {
        return fail(ENXIO);
    }
    if (find_request(fake, name, strlen(name)) != NULL) {
        return fail(EEXIST);
    }
    for (size_t i = 0; i < FAKE_TEE_REQUESTS_MAX; i++) {
        struct fake_tee_request *request = &fake->requests[i];
        if (!request->is_used) {
            *request = (struct fake_tee_request){.is_used = true};
            (void)snprintf(request->name, sizeof request->name, "%s", name);
            fake->request_count++;
            return 0;
        }
    }
    return fail(ENOMEM);
}

static void request_free(struct fake_tee *fake, struct fake_tee_request *request)
{
    buffer_release(&request->outblob);
    buffer_release(&request->auxblob);
    request->is_used = false;
    fake->request_count--;
}

static int fake_rmdir(void *context, const char *path)
{
    struct fake_tee *fake = context;
    const char *name = below_root(fake, path);
    struct fake_tee_request *request = name == NULL ? NULL : find_request(fake, name, strlen(name));
    if (request == NULL) {
        return fail(ENOENT);
    }
    request_free(fake, request);
    return 0;
}

/* The attribute that a path names, and of which request. ATTRIBUTE_COUNT: none. */
static enum attribute find_attribute(struct fake_tee *fake, const char *path,
                                     struct fake_tee_request **request)
{
    const char *name = below_root(fake, path);
    const char *slash = name == NULL ? NULL : strchr(name, '/');
    *request = slash == NULL ? NULL : find_request(fake, name, (size_t)(slash - name));
    if (name == NULL || is_gramine(fake) != (slash == NULL) ||
        (slash != NULL && *request == NULL)) {
        return ATTRIBUTE_COUNT;
    }
    name = slash == NULL ? name : slash + 1;
    for (enum attribute i = 0; i < ATTRIBUTE_COUNT; i++) {
        bool is_shown = attributes[i].is_of_gramine == is_gramine(fake) &&
                        (i != AUXBLOB || fake->order.tee == TEE_SEV_SNP) &&
                        (i != QUOTE || strcmp(fake->attestation_type, "none") != 0);
        if (is_shown && strcmp(attributes[i].name, name) == 0) {
            return i;
        }
    }
    return ATTRIBUTE_COUNT;
}

static int fake_open(void *context, const char *path, int flags)
{
    struct fake_tee *fake = context;
    struct fake_tee_request *request;
    enum attribute attribute = find_attribute(fake, path, &request);
    bool is_writing = (flags & O_ACCMODE) != O_RDONLY;
    if (attribute == ATTRIBUTE_COUNT) {
        return fail(ENOENT);
    }
    if (is_writing ? !attributes[attribute].may_write : !attributes[attribute].may_read) {
        return fail(EACCES);
    }
    if (attribute == QUOTE && fake->failure != 0) {
        return fail(EACCES);  // whatever it was
    }
    for (int i = 0; i < FAKE_TEE_OPEN_MAX; i++) {
        struct fake_tee_open *file = &fake->files[i];
        if (file->is_used) {
            continue;
        }
        *file = (struct fake_tee_open){
            .is_used = true,
            .attribute = (int)attribute,
            .request = request,
            .is_writing = is_writing,
        };
        if (attribute == QUOTE) {
            struct buffer bundle = BUFFER_EMPTY;
            make(fake, fake->report_data, &file->bytes, &bundle);
            buffer_release(&bundle);
        }
        return FAKE_TEE_FD_MIN + i;
    }
    return fail(EMFILE);
}

/* NULL: not one of ours, or closed. */
static struct fake_tee_open *find_open(struct fake_tee *fake, int fd)
{
    int index = fd - FAKE_TEE_FD_MIN;
    bool is_ours = index >= 0 && index < FAKE_TEE_OPEN_MAX && fake->files[index].is_used;
    return is_ours ? &fake->files[index] : NULL;
}

static ssize_t fake_read(void *context, int fd, void *target, size_t length)
{
    struct fake_tee *fake = context;
    struct fake_tee_open *file = find_open(fake, fd);
    if (file == NULL || file->is_writing) {
        return fail(EBADF);
    }
    if (!file->is_filled) {
        int cause = fill(fake, file);
        if (cause != 0) {
            return fail(cause);
        }
        file->is_filled = true;
    }
    size_t left = file->bytes.length - file->position;
    size_t given = left < length ? left : length;
    if (given > 0) {
        memcpy(target, file->bytes.bytes + file->position, given);
    }
    file->position += given;
    return (ssize_t)given;
}

static ssize_t fake_write(void *context, int fd, const void *bytes, size_t length)
{
    struct fake_tee *fake = context;
    struct fake_tee_open *file = find_open(fake, fd);
    if (file == NULL || !file->is_writing) {
        return fail(EBADF);
    }
    if (file->attribute == INBLOB && file->bytes.length + length > 64) {
        return fail(EFBIG);
    }
    append(&file->bytes, bytes, length);
    return (ssize_t)length;
}

static int fake_close(void *context, int fd)
{
    struct fake_tee *fake = context;
    struct fake_tee_open *file = find_open(fake, fd);
    if (file == NULL) {
        return fail(EBADF);
    }
    if (file->is_writing && file->attribute == INBLOB) {
        for (size_t i = 0; i < file->bytes.length; i++) {
            file->request->inblob[i] = file->bytes.bytes[i];
        }
        file->request->inblob_bytes = file->bytes.length;
        file->request->write_generation++;
    }
    if (file->is_writing && file->attribute == USER_REPORT_DATA) {
        size_t length = file->bytes.length < 64 ? file->bytes.length : 64;
        for (size_t i = 0; i < sizeof fake->report_data; i++) {
            fake->report_data[i] = i < length ? file->bytes.bytes[i] : 0;
        }
    }
    buffer_release(&file->bytes);
    file->is_used = false;
    return 0;
}

struct files fake_tee_files(struct fake_tee *fake)
{
    return (struct files){
        .open = fake_open,
        .read = fake_read,
        .write = fake_write,
        .close = fake_close,
        .mkdir = fake_mkdir,
        .rmdir = fake_rmdir,
        .context = fake,
    };
}

void fake_tee_init(struct fake_tee *fake, struct forge *forge, enum tee tee, uint64_t now_s,
                   const char *root)
{
    *fake = (struct fake_tee){
        .forge = forge,
        .root = root,
        .order = forge_order_of(tee, now_s),
        .attestation_type = "dcap",
    };
}

void fake_tee_release(struct fake_tee *fake)
{
    for (size_t i = 0; i < FAKE_TEE_OPEN_MAX; i++) {
        buffer_release(&fake->files[i].bytes);
    }
    for (size_t i = 0; i < FAKE_TEE_REQUESTS_MAX; i++) {
        if (fake->requests[i].is_used) {
            request_free(fake, &fake->requests[i]);
        }
    }
}

void fake_tee_collateral(struct fake_tee *fake, struct buffer *bundle)
{
    static const uint8_t nothing[64];
    struct buffer quote = BUFFER_EMPTY;
    make(fake, nothing, &quote, bundle);
    fake->made_count--;
    buffer_release(&quote);
}
