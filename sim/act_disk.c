/* sim/act_disk.c */

/*
 * The power goes off in the middle of a write; the disk is full for a while, or gives back what was
 * never written there.
 */
#include <stdio.h>
#include <string.h>

#include "sim/scenario_internal.h"
#include "store/segment.h"

enum {
    POWER_OFF_OPERATIONS = 20,   // it goes off in one of the next so many
    SPARE_DISK_BYTES = 2 << 10,  // what a full disk still has
    SECTOR_BYTES = 512,
};

/* Where the last mark begins: every byte before it was synced, and has to be what it was. */
static uint64_t find_synced(struct bytes file)
{
    struct segment_reader reader;
    struct segment_entry entry;
    uint64_t end = 0;
    if (segment_reader_init(&reader, file) != STATUS_OK) {
        return 0;
    }
    while (segment_read(&reader, &entry) == STATUS_OK) {
        end = entry.is_mark ? entry.offset : end;
    }
    return end;
}

/* Bend one bit, or write one sector's content over another's. False: nothing has changed. */
static bool spoil(struct scenario *s, struct buffer *file, uint64_t synced)
{
    uint64_t at = scenario_pick(s, synced), from = scenario_pick(s, synced);
    if (scenario_has_chance(s, 50)) {
        file->bytes[at] ^= (uint8_t)(1u << at % 8);
        return true;
    }
    at -= at % SECTOR_BYTES;
    from -= from % SECTOR_BYTES;
    uint64_t left = synced - (at > from ? at : from);
    size_t length = left < SECTOR_BYTES ? (size_t)left : SECTOR_BYTES;
    bool is_change = memcmp(file->bytes + at, file->bytes + from, length) != 0;
    memmove(file->bytes + at, file->bytes + from, length);
    return is_change;
}

/* What the store gives, once it is started. False: it does not start, or cannot read. */
static bool read_all(struct scenario *s, size_t index, struct hash *digest)
{
    bool is_read = federation_store_start(s->federation, index) == STATUS_OK &&
                   federation_store_digest(s->federation, index, digest) == STATUS_OK;
    federation_store_kill(s->federation, index);
    return is_read;
}

/* On such a disk a store gives what was written, or says that it cannot. Then it is put right. */
static void rot(struct scenario *s, size_t index)
{
    struct disk_fake *fake = s->stores[index].fake;
    char name[32];
    struct hash written, found;
    federation_store_kill(s->federation, index);
    disk_fake_crash(fake, s->random);
    snprintf(name, sizeof name, "segment-%08u", 1 + (unsigned)scenario_pick(s, 2));
    if (!read_all(s, index, &written)) {
        return;
    }
    struct buffer *file = disk_fake_file(fake, name);
    uint64_t synced = file == NULL ? 0 : find_synced(buffer_bytes(file));
    if (synced == 0) {
        return;
    }
    struct disk_fake *good = disk_fake_copy(fake);
    if (spoil(s, file, synced) && read_all(s, index, &found) && !hash_equal(&found, &written)) {
        scenario_fail(s, "P2: store %zu gives other records than were written, after %s was bent",
                      index, name);
    }
    disk_fake_assign(fake, good);
    disk_fake_free(good);
}

static void step(struct scenario *s, void *state)
{
    (void)state;
    size_t index = (size_t)scenario_pick(s, s->config->store_count);
    struct scenario_disk *victim = &s->stores[index];
    if (scenario_has_chance(s, 4)) {
        uint64_t nth = 1 + scenario_pick(s, POWER_OFF_OPERATIONS);
        if (scenario_has(s, SCENARIO_POWER)) {
            disk_fake_power_off(victim->fake, nth);
        }
    }
    if (scenario_has_chance(s, 3) && scenario_has(s, SCENARIO_ROT) && !victim->is_full) {
        rot(s, index);
    }
    if (scenario_has_chance(s, 8)) {
        bool is_full = scenario_has_chance(s, 50);
        uint64_t spare_bytes = scenario_pick(s, SPARE_DISK_BYTES);
        if (scenario_has(s, SCENARIO_FULL)) {
            victim->is_full = is_full;
            disk_fake_limit(victim->fake,
                            is_full ? disk_fake_used(victim->fake) + spare_bytes : UINT64_MAX);
        }
    }
}

static void stop(struct scenario *s, void *state)
{
    (void)state;
    for (size_t i = 0; i < s->config->store_count; i++) {
        disk_fake_power_off(s->stores[i].fake, 0);
        disk_fake_limit(s->stores[i].fake, UINT64_MAX);
        s->stores[i].is_full = false;
    }
}

const struct scenario_act act_disk = {.step = step, .stop = stop};
