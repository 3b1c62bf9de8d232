/* sim/disk_fake.h */
#ifndef SIM_DISK_FAKE_H
#define SIM_DISK_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/random.h"
#include "store/disk.h"

/*
 * disk_fake: a disk in memory that fails like a real one, for tests and simulation. What was
 * written and not synced may be lost or torn by a crash; space may run out; bits may flip; any one
 * operation may fail. Running out of memory stops the program.
 */
struct disk_fake;

struct disk_fake *disk_fake_new(void);
void disk_fake_free(struct disk_fake *fake);

/* The same files, all of them synced, and none of the troubles. */
struct disk_fake *disk_fake_copy(const struct disk_fake *fake);

/* Make `fake` such a copy, whatever it was. */
void disk_fake_assign(struct disk_fake *fake, const struct disk_fake *source);

/* Valid as long as `fake`. */
struct disk disk_fake_disk(struct disk_fake *fake);

/* Operations that change something (create, write, sync, replace) so far. */
uint64_t disk_fake_operations(const struct disk_fake *fake);

/*
 * The `nth` such operation from now (1: the next) fails with `status`, having done a part; those
 * after it succeed. 0: none.
 */
void disk_fake_fail(struct disk_fake *fake, uint64_t nth, enum status status);

/*
 * The power goes off in the `nth` operation from now: it and all that follow fail, until a crash.
 */
void disk_fake_power_off(struct disk_fake *fake, uint64_t nth);

/* All files together may have so many bytes. UINT64_MAX: any. */
void disk_fake_limit(struct disk_fake *fake, uint64_t bytes);
uint64_t disk_fake_used(const struct disk_fake *fake);

/*
 * Each sector of what was not synced is there or not, as `random` has it; NULL: none is. Power is
 * back.
 */
void disk_fake_crash(struct disk_fake *fake, const struct random *random);

/*
 * All that was not synced is there, but for the end of the last write, of which only the first
 * `kept` bytes are. Power is back.
 */
void disk_fake_crash_torn(struct disk_fake *fake, size_t kept);

/* Bytes of the last write that was not synced; 0: none. */
size_t disk_fake_last_write(const struct disk_fake *fake);

/* The content of a file, to be read and bent. NULL: there is none. */
struct buffer *disk_fake_file(struct disk_fake *fake, const char *name);
size_t disk_fake_count(const struct disk_fake *fake);
const char *disk_fake_name(const struct disk_fake *fake, size_t index);

/* Make or replace a file, synced. */
void disk_fake_put(struct disk_fake *fake, const char *name, const void *bytes, size_t length);
void disk_fake_remove(struct disk_fake *fake, const char *name);

#endif
