/* sim/curve.h */
#ifndef SIM_CURVE_H
#define SIM_CURVE_H

#include <stddef.h>
#include <stdint.h>

/*
 * curve: what an epoch costs a federation of so many workers, each of which puts one key in each
 * epoch. A frame to everybody counts once, as a multicast does.
 */
struct curve_point {
    size_t worker_count;
    uint64_t frames;  // in all epochs that were measured, by enclaves and the store
    uint64_t bytes;   // likewise
};

/* Stops the program when the federation does not come to life or does not end its epochs. */
struct curve_point curve_measure(size_t worker_count, uint64_t epoch_count, uint64_t seed);

/*
 * Reads of cold keys, drawn at random from tables 50 times a worker's memory, by one client at each
 * of the workers, which asks for the next key when it has the last one.
 */
struct curve_reads {
    size_t worker_count;
    uint64_t reads;
    uint64_t time_us;  // virtual
    uint64_t blocks;   // fetched by the workers, from any store
    uint64_t frames;   // sent meanwhile by anybody
};

/* Stops the program as well when a key is not found. */
struct curve_reads curve_measure_reads(size_t worker_count, uint64_t seed);

#endif
