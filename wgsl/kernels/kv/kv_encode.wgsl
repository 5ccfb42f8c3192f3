// Stores heads of K and V in the cache: normalised, rotated, quantised and packed. docs/exact-attention.md, section 4.
//
// A head with inf or nan, or with a scale beyond f16, is reported and not stored. One dispatch does one side (K or V)
// or both, when they are of one type, for any number of tokens of any sequences.
//
// k, v: rows of heads of the first and the second side, row[side] vectors of four f32 from one token to the next
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout; atomic, because two tokens share a word of scales
// faults: word `fault` becomes the largest ~(token << 12 | side << 11 | head << 1 | kind), kind 0 non-finite, 1 overflow
// grid: 64 invocations per workgroup, LANES for each of tokens * sides * heads
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_encode.rs

#import float_bits
#import grid
#import kv_job SIDES=2
#import kv_side
#import reduce_group reduce_group=max_group ELEMENT=u32 COMBINE=max STAGES=3
#import reduce_head
#import store_plane store_plane=store_low BITS=LOW_BITS SHIFT=0
#ifdef HIGH
#import store_plane store_plane=store_high BITS=1 SHIFT=2
#endif
#ifdef TURBO
#import quantise_turbo
#else
#import quantise_scaled
#endif

struct KvEncodeParams {
    zero: u32,
    tokens: u32,
    head_dim: vec2<u32>,
    row: vec2<u32>,
    first: vec2<u32>,
    offset: vec2<u32>,
    heads: u32,
    sides: u32,
    first_side: u32,
    tiles: u32,
    block_words: u32,
    first_block: u32,
    blocks: u32,
    fault: u32,
}

@group(0) @binding(0) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeParams

// Exponent field from which a scale can be beyond f16: below it every group norm is under 2^12.
const LARGE_FIELD = 135u;

// Vectors of the k or v buffer before the head.
fn head_start(job: Job) -> u32 {
    return params.first[job.side] + job.token * params.row[job.side] + job.head * (params.head_dim[job.side] / 4u);
}

fn load_tile(job: Job, tile: u32, lane: u32, count: u32) -> Tile {
    var x: Tile;
    let at = head_start(job) + tile * 32u + lane * Q;
#repeat B BLOCKS
    if lane * (4u * Q) + 16u * B < count {
        if job.side == 0u {
#repeat R PER_BLOCK
            x[B * PER_BLOCK + R] = k[at + B * PER_BLOCK + R];
#end
        } else {
#repeat R PER_BLOCK
            x[B * PER_BLOCK + R] = v[at + B * PER_BLOCK + R];
#end
        }
    }
#end
    return x;
}

// Largest exponent field of the head, whose first tile is `x`.
fn worst_field(job: Job, lane: u32, x: ptr<function, Tile>) -> u32 {
    var field = 0u;
#repeat V Q
    field = max(field, max_field4((*x)[V]));
#end
    let at = head_start(job);
    for (var i = 32u + lane; i < params.head_dim[job.side] / 4u; i += LANES) {
        if job.side == 0u {
            field = max(field, max_field4(k[at + i]));
        } else {
            field = max(field, max_field4(v[at + i]));
        }
    }
    return max_of_head(field);
}

// Largest exponent field of every group of the tile; `worst` is that of the head.
fn group_fields(x: ptr<function, Tile>, sizes: Blocks, worst: u32) -> Blocks {
    let own = block_fields(x);
#ifdef WHOLE
    if params.tiles == 1u {
        var all: Blocks;
#repeat B BLOCKS
        all[B] = worst;
#end
        return all;
    }
#endif
    return max_group(own, sizes);
}

fn report(job: Job, kind: u32) {
    let key = (job.token << 12u) | ((params.first_side + job.side) << 11u) | (job.head << 1u) | kind;
    atomicMax(&faults[params.fault], ~key);
}

fn store_scale(job: Job, index: u32, scale: u32) {
    let scales = job.unit + BLOCK * code_words(params.head_dim[job.side]);
    let at = scales + index * (BLOCK / 2u) + job.place / 2u;
    let shift = (job.place % 2u) * 16u;
    // The other half belongs to another token, whose lanes may write it at this moment.
    atomicAnd(&pool[at], 0xffff0000u >> shift);
    atomicOr(&pool[at], scale << shift);
}

fn store_tile(job: Job, tile: u32, count: u32, lane: u32, sizes: Blocks, quantised: Quantised, stored: bool) {
    let head_dim = params.head_dim[job.side];
    var codes = quantised.codes;
#repeat V Q
    codes[V] = select(vec4<u32>(0u), codes[V], vec4<bool>((lane * Q + V) * 4u < count));
#end
    let low = job.unit + job.place * code_words(head_dim);
    store_low(codes, low + tile * (4u * LOW_BITS), lane, count, stored);
#ifdef HIGH
    store_high(codes, low + low_words(head_dim) + tile * 4u, lane, count, stored);
#endif
#repeat B BLOCKS
    {
        let index = scale_block(tile, lane * (4u * Q) + 16u * B, sizes[B], count);
        if stored && index != 0xffffffffu {
            store_scale(job, index, quantised.scales[B]);
        }
    }
#end
}

fn encode(job: Job, lane: u32) {
    if !any_head(job.inside) {
        return;
    }
    var x = load_tile(job, 0u, lane, tile_count(params.head_dim[job.side], 0u));
    let worst = worst_field(job, lane, &x);
    let finite = worst != 255u;
    var overflow = false;
    // Where a scale could overflow, all tiles are tried before the first is stored.
    let tries = select(0u, params.tiles, any_head(job.inside && finite && worst >= LARGE_FIELD));
    let start = params.tiles - tries;
    for (var step = start; step < 2u * params.tiles; step += 1u) {
        let trying = step < params.tiles;
        let tile = select(step - params.tiles, step, trying);
        let count = tile_count(params.head_dim[job.side], tile);
        if step != start {
            x = load_tile(job, tile, lane, count);
        }
        let sizes = group_sizes(lane, count);
        let fields = group_fields(&x, sizes, worst);
        normalise_tile(&x, fields);
        let quantised = quantise(&x, fields, sizes, lane);
        if trying {
            var over = 0u;
#repeat B BLOCKS
            over |= u32((quantised.scales[B] & 0x7fffu) == F16_INFINITY);
#end
            overflow = overflow || max_of_head(over) != 0u;
        } else {
            store_tile(job, tile, count, lane, sizes, quantised, job.inside && finite && !overflow);
        }
    }
    if job.inside && lane == 0u && (!finite || overflow) {
        report(job, select(0u, 1u, finite));
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#if LANES == 1
    @builtin(local_invocation_index) local: u32,
#else
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
#if LANES != 1
    let local = subgroup * subgroup_size + subgroup_lane;
#endif
    let index = linear_workgroup(id, size) * 64u + local;
    let units = vec2<u32>(unit_words(params.head_dim.x), unit_words(params.head_dim.y));
    encode(job_of(index / LANES, units), index % LANES);
}
