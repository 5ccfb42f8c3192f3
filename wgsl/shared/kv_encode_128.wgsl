// Encoding heads of 128 values, four in each of 32 lanes. A few heads take as long as a chain of waits: nothing here
// branches, and the values are asked for before the place of the head is known.

#import kv_heads
#import kv_job_128
#import kv_side
#import reduce_lanes
#ifdef TURBO
#import quantise_turbo_128
#else
#import quantise_scaled
#endif

#ifdef HIGH
const CODE_WORDS = 4u * LOW_BITS + 4u;
#else
const CODE_WORDS = 4u * LOW_BITS;
#endif
#ifdef TURBO
const SCALES = 1u;
#else
const SCALES = 4u;
#endif

fn encode_128(h: Head128, lane: u32, alone: bool) {
    let read = read_128(h, lane);
    let job = job_128(h, 64u * CODE_WORDS + 32u * SCALES);
    let x = values_128(h, read, lane);
    let field = max_of_lanes(max_field4(x), alone);
    let finite = field != 255u;
#ifdef TURBO
    let quantised = quantise_128(normalise4(x, field), field, lane, alone);
    let codes = Codes(quantised.codes);
    let scale = quantised.scale;
    let overflow = scale == F16_INFINITY;
    let starts = lane == 0u;
    let block = 0u;
#else
    var tile = Tile(normalise4(x, field));
    let quantised = quantise(&tile, Blocks(field), Blocks(128u), lane);
    let codes = quantised.codes;
    let scale = quantised.scales[0];
    let overflow = max_of_lanes(u32((scale & 0x7fffu) == F16_INFINITY), alone) != 0u;
    let starts = lane % 8u == 0u;
    let block = lane / 8u;
#endif
    let stored = job.inside && finite && !overflow;
    let low = job.unit + job.place * CODE_WORDS;
    store_low(codes, low, lane, 128u, stored);
#ifdef HIGH
    store_high(codes, low + 4u * LOW_BITS, lane, 128u, stored);
#endif
    if starts && stored {
        store_scale(job.unit + 64u * CODE_WORDS + block * 32u, job.place, scale);
    }
    if job.inside && lane == 0u && (!finite || overflow) {
        report(job, select(0u, 1u, finite));
    }
}
