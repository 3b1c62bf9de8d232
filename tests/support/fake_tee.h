/* tests/support/fake_tee.h */
#ifndef TESTS_SUPPORT_FAKE_TEE_H
#define TESTS_SUPPORT_FAKE_TEE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "tee/files.h"
#include "tests/support/forge.h"

/*
 * fake_tee: Gramine's /dev/attestation (for SGX) or Linux's configfs-tsm (for TDX and SEV-SNP), as
 * their sources and manuals describe them, over a vendor of our own: each quote is fresh, in the
 * vendor's format, with the report data that was asked for.
 *
 * Of configfs-tsm it has: attributes that appear with mkdir() and go with rmdir(); ENXIO without a
 * driver; inblob of at most 64 bytes (EFBIG), taken at close(), whose result nobody sees; outblob
 * made at the first read of an open file and kept until the next write, EINVAL before inblob was
 * written or when it has not 64 bytes; auxblob for SEV-SNP alone; generation, +1 with each write;
 * EACCES for reading what can be written and the other way round.
 *
 * Of Gramine: user_report_data padded to 64 bytes or cut there without a word; a quote made when
 * the file is opened; EACCES for whatever fails; no quote at all without DCAP.
 */
enum { FAKE_TEE_REQUESTS_MAX = 8, FAKE_TEE_OPEN_MAX = 16, FAKE_TEE_PATH_BYTES = 256 };

struct fake_tee_request {
    bool is_used;
    char name[FAKE_TEE_PATH_BYTES];
    uint8_t inblob[64];
    size_t inblob_bytes;
    uint64_t write_generation;
    uint64_t read_generation;
    struct buffer outblob;
    struct buffer auxblob;
};

struct fake_tee_open {
    bool is_used;
    int attribute;
    struct fake_tee_request *request;  // NULL: of Gramine
    bool is_writing;
    bool is_filled;  // what is read has been made
    struct buffer bytes;
    size_t position;
};

struct fake_tee {
    struct forge *forge;       // borrowed
    const char *root;          // borrowed
    struct forge_order order;  // of what is made next, but for its report data

    // What goes wrong.
    bool has_no_driver;            // configfs-tsm is there, and nothing behind it
    const char *attestation_type;  // of Gramine: "dcap"
    int failure;                   // the errno that the hardware answers with; 0: none
    unsigned intruder_count;       // so often somebody else writes before outblob is read
    bool has_no_certificates;      // an empty auxblob
    bool has_broken_certificates;
    bool are_names_turned;  // GUIDs as firmware keeps them

    // What happened.
    unsigned made_count;
    unsigned request_count;  // directories that there are

    uint8_t report_data[64];  // Gramine's, and kept
    struct fake_tee_request requests[FAKE_TEE_REQUESTS_MAX];
    struct fake_tee_open files[FAKE_TEE_OPEN_MAX];
};

/* Descriptors of its files start here: a real process has none so high. */
enum { FAKE_TEE_FD_MIN = 1 << 20 };

/* Of `tee`, with sound evidence. `root` is its directory. */
void fake_tee_init(struct fake_tee *fake, struct forge *forge, enum tee tee, uint64_t now_s,
                   const char *root);
void fake_tee_release(struct fake_tee *fake);

/* The calls by which it is asked. Borrows. */
struct files fake_tee_files(struct fake_tee *fake);

/* The vendor's documents for it, as a user would have fetched them. Appends a bundle. */
void fake_tee_collateral(struct fake_tee *fake, struct buffer *bundle);

#endif
