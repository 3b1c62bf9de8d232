/* src/tee/certificates.c */
#include "tee/certificates.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"

enum { NAME_BYTES = 16, ENTRY_COUNT_MAX = 64 };

/* What the table calls the documents: GUIDs, first group first. */
static const struct {
    enum collateral_kind kind;
    uint8_t name[NAME_BYTES];
} names[] = {
    {COLLATERAL_VCEK,
     {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
      0xcd}},
    {COLLATERAL_VLEK,
     {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
      0xa1}},
    {COLLATERAL_ASK,
     {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
      0x82}},
    {COLLATERAL_ARK,
     {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
      0xae}},
    {COLLATERAL_AMD_CRL,
     {0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67,
      0xea}},
};

/* The first three groups turned around, as firmware keeps GUIDs. */
static void turn_around(uint8_t target[NAME_BYTES], const uint8_t name[NAME_BYTES])
{
    static const uint8_t order[NAME_BYTES] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < NAME_BYTES; i++) {
        target[i] = name[order[i]];
    }
}

/* Hosts write names in either order. COLLATERAL_KIND_COUNT: one that we do not know. */
static enum collateral_kind kind_of(const uint8_t name[NAME_BYTES])
{
    uint8_t turned[NAME_BYTES];
    turn_around(turned, name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (memcmp(names[i].name, name, NAME_BYTES) == 0 ||
            memcmp(names[i].name, turned, NAME_BYTES) == 0) {
            return names[i].kind;
        }
    }
    return COLLATERAL_KIND_COUNT;
}

/*
 * A table. Integers are little endian.
 *
 *     offset  bytes  entry, any number of them; the last is all zero
 *          0     16  what it is
 *         16      4  where it is, from the start of the table
 *         20      4  how long it is
 */
enum status certificates_decode(struct collateral *collateral, struct bytes table)
{
    static const uint8_t end[NAME_BYTES];
    struct collateral found = *collateral;
    struct cursor in = cursor_over(table.at, table.length);
    if (table.length == 0) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < ENTRY_COUNT_MAX; i++) {
        uint8_t name[NAME_BYTES];
        cursor_copy(&in, name, sizeof name);
        uint32_t offset = cursor_u32(&in);
        uint32_t length = cursor_u32(&in);
        if (in.failed || offset > table.length || length > table.length - offset) {
            return STATUS_MALFORMED;
        }
        if (memcmp(name, end, sizeof name) == 0) {
            *collateral = found;
            return STATUS_OK;
        }
        enum collateral_kind kind = kind_of(name);
        if (kind != COLLATERAL_KIND_COUNT) {
            found.documents[kind] = bytes_of(table.at + offset, length);
        }
    }
    return STATUS_MALFORMED;
}
