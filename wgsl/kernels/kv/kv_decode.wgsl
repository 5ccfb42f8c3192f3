// Heads of the cache back to f32 values, rotated as they are stored or rotated back. docs/exact-attention.md, section 1.
//
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout
// y: rows of heads, `row` vectors of four f32 from one token to the next
// grid: 64 invocations per workgroup, LANES for each of tokens * heads
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_decode.rs

#import f16_bits
#import float_bits
#import grid
#import group_sizes
#import kv_decode_params
#import kv_job SIDES=1
#import kv_main
#import kv_side
#import reduce_group reduce_group=max_group ELEMENT=u32 COMBINE=max STAGES=3
#import reduce_head
#import rotate_tile
#ifdef TURBO
#import turbo_levels
#endif

@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> pool: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
#params KvDecodeParams

const NAN = vec4<u32>(0x7fc00000u);

// Four codes of vector `vector` of a tile in the plane whose words for the tile start at `base`.
fn codes4(base: u32, vector: u32, bits: u32) -> vec4<u32> {
    let width = 8u / bits;
    let four = pool[base + vector / width] >> (vector % width * (4u * bits));
    return (vec4<u32>(four) >> (vec4<u32>(0u, 1u, 2u, 3u) * bits)) & vec4<u32>((1u << bits) - 1u);
}

// Levels of four codes in a group of `size` values.
fn levels4(codes: vec4<u32>, size: u32) -> vec4<f32> {
#ifdef TURBO
    let negative = codes < vec4<u32>(POSITIVE);
    let m = select(codes - POSITIVE, POSITIVE - 1u - codes, negative);
    var level = vec4<i32>(0);
#repeat K POSITIVE
    level = select(level, vec4<i32>(LEVELS[K][size_index(size)]), m == vec4<u32>(K));
#end
    return vec4<f32>(select(level, -level, negative));
#else
#ifdef Q8
    return vec4<f32>(bitcast<vec4<i32>>(codes << vec4<u32>(24u)) >> vec4<u32>(24u));
#else
    return vec4<f32>(vec4<i32>(codes) - 8);
#endif
#endif
}

// The value of level 1 in the scale block of value `at` of tile `tile`.
fn unit_of(job: Job, tile: u32, at: u32, size: u32, count: u32) -> f32 {
#ifdef TURBO
    let index = scale_block(tile, at & ~(size - 1u), size, count);
#else
    let index = scale_block(tile, at & ~31u, size, count);
#endif
    let scales = job.unit + BLOCK * code_words(params.head_dim);
    let word = pool[scales + index * (BLOCK / 2u) + job.place / 2u];
    let scale = f32_from_f16((word >> (job.place % 2u * 16u)) & 0xffffu);
#ifdef TURBO
    return scale * bitcast<f32>(u32(127 - SHIFT[size_index(size)]) << 23u);
#else
    return scale;
#endif
}

fn load_tile(job: Job, tile: u32, lane: u32, sizes: Blocks, count: u32) -> Tile {
    var x: Tile;
    let low = job.unit + job.place * code_words(params.head_dim);
    let high = low + low_words(params.head_dim);
#repeat B BLOCKS
    if job.inside && lane * (4u * Q) + 16u * B < count {
        let unit = unit_of(job, tile, lane * (4u * Q) + 16u * B, sizes[B], count);
#repeat R PER_BLOCK
        {
            const vector = B * PER_BLOCK + R;
            var codes = codes4(low + tile * (4u * LOW_BITS), lane * Q + vector, LOW_BITS);
#ifdef HIGH
            codes |= codes4(high + tile * 4u, lane * Q + vector, 1u) << vec4<u32>(2u);
#endif
            x[vector] = levels4(codes, sizes[B]) * unit;
        }
#end
    }
#end
    return x;
}

fn rotate_back(x: ptr<function, Tile>, lane: u32, sizes: Blocks) {
    let fields = max_group(block_fields(x), sizes);
    normalise_tile(x, fields);
    rotate_tile(x, lane, sizes, SIGNS_2, SIGNS_1);
#repeat V Q
    {
        let scaled = (*x)[V] * INV_SQRT[size_index(sizes[V / 4])];
        let value = bitcast<vec4<u32>>(scale_pow2_4(scaled, i32(fields[V / 4]) - 127));
        (*x)[V] = bitcast<vec4<f32>>(select(value, NAN, vec4<bool>(fields[V / 4] == 255u)));
    }
#end
}

fn decode(job: Job, lane: u32) {
    if !any_head(job.inside) {
        return;
    }
    for (var tile = 0u; tile < params.tiles; tile += 1u) {
        let count = tile_count(params.head_dim, tile);
        let sizes = group_sizes(lane, count);
        var x = load_tile(job, tile, lane, sizes, count);
        if params.rotated == 0u {
            rotate_back(&x, lane, sizes);
        }
        let to = params.first + job.token * params.row + (job.head * params.head_dim + tile * 128u) / 4u;
#repeat B BLOCKS
        if job.inside && lane * (4u * Q) + 16u * B < count {
#repeat R PER_BLOCK
            y[to + lane * Q + B * PER_BLOCK + R] = x[B * PER_BLOCK + R];
#end
        }
#end
    }
}

// What kv_main calls.
fn heads_of(id: vec3<u32>, size: vec3<u32>, local: u32, alone: bool) {
    let index = linear_workgroup(id, size) * 64u + local;
    decode(job_of(index / LANES, unit_words(params.head_dim)), index % LANES);
}
