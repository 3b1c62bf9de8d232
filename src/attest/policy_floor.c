/* src/attest/policy_floor.c */
#include "attest/policy_floor.h"

#include <stdio.h>
#include <string.h>

#include "attest/policy_internal.h"

enum { NAME_BYTES = 128 };

static bool find_product(enum vendor_product *product, const char *name)
{
    for (*product = 0; *product < VENDOR_PRODUCT_COUNT; (*product)++) {
        if (strcmp(vendor_product_text(*product), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool find_part(enum verdict_part *part, const char *name)
{
    for (*part = 0; *part < VERDICT_PART_COUNT; (*part)++) {
        if (strcmp(verdict_part_text(*part), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_parts(uint8_t least[VERDICT_PART_COUNT], const char *name, const json_t *object,
                       char *error)
{
    const char *member;
    json_t *value;
    if (!json_is_object(object)) {
        return policy_fail(error, "member '%s' is no object; write {\"microcode\": 219}", name);
    }
    json_object_foreach((json_t *)object, member, value)
    {
        char full[NAME_BYTES];
        enum verdict_part part;
        uint32_t number;
        snprintf(full, sizeof full, "%.64s.%.32s", name, member);
        if (!find_part(&part, member)) {
            return policy_fail(error,
                               "member '%s' is no part of a TCB; the parts are fmc, boot_loader, "
                               "tee, snp and microcode",
                               full);
        }
        if (!policy_read_integer(&number, full, 0, UINT8_MAX, value, error)) {
            return false;
        }
        least[part] = (uint8_t)number;
    }
    return true;
}

bool policy_floor_read(struct policy_floor *floor, const char *name, const json_t *value,
                       char *error)
{
    const char *member;
    json_t *object;
    *floor = (struct policy_floor){.is_said = true};
    if (!json_is_object(value)) {
        return policy_fail(
            error, "member '%s' is no object; write {\"Milan\": {\"microcode\": 219}}", name);
    }
    json_object_foreach((json_t *)value, member, object)
    {
        char full[NAME_BYTES];
        enum vendor_product product;
        snprintf(full, sizeof full, "%.64s.%.32s", name, member);
        if (!find_product(&product, member)) {
            return policy_fail(error, "member '%s' is no product; write Milan, Genoa or Turin",
                               full);
        }
        floor->has_product[product] = true;
        if (!read_parts(floor->least[product], full, object, error)) {
            return false;
        }
    }
    return true;
}

json_t *policy_floor_encode(const struct policy_floor *floor)
{
    json_t *object = json_object();
    int failed = object == NULL;
    for (enum vendor_product product = 0; product < VENDOR_PRODUCT_COUNT; product++) {
        if (!floor->has_product[product]) {
            continue;
        }
        json_t *parts = json_object();
        for (enum verdict_part part = 0; part < VERDICT_PART_COUNT; part++) {
            if (floor->least[product][part] > 0) {
                failed |= json_object_set_new(parts, verdict_part_text(part),
                                              json_integer(floor->least[product][part]));
            }
        }
        failed |= json_object_set_new(object, vendor_product_text(product), parts);
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

bool policy_floor_accepts(const struct policy_floor *floor, struct verdict *verdict)
{
    if (!floor->is_said) {
        return true;
    }
    if (!verdict->has_parts || !floor->has_product[verdict->parts_product]) {
        return verdict_refuse(verdict, REASON_TCB_STATUS,
                              "tees.sev-snp.min_tcb says nothing of a %s",
                              verdict->has_parts ? vendor_product_text(verdict->parts_product)
                                                 : "processor whose TCB is unknown");
    }
    const uint8_t *least = floor->least[verdict->parts_product];
    for (enum verdict_part part = 0; part < VERDICT_PART_COUNT; part++) {
        if (verdict->parts[part] < least[part]) {
            return verdict_refuse(verdict, REASON_TCB_STATUS,
                                  "%s of the %s has version %u, and tees.sev-snp.min_tcb asks for "
                                  "%u",
                                  verdict_part_text(part),
                                  vendor_product_text(verdict->parts_product), verdict->parts[part],
                                  least[part]);
        }
    }
    return true;
}
