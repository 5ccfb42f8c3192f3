// Encoding heads of any size, tile by tile.
//
// Words: those of tile and of the quantiser.

#import kv_heads
#import kv_job SIDES=2
#import kv_side
#import reduce_group reduce_group=max_group ELEMENT=u32 COMBINE=max STAGES=3
#import reduce_head
#ifdef TURBO
#import quantise_turbo
#else
#import quantise_scaled
#endif

// Exponent field from which a scale can be beyond f16: below it every group norm is under 2^12.
const LARGE_FIELD = 135u;

fn load_tile(job: Job, tile: u32, lane: u32, count: u32, factor: f32) -> Tile {
    var x: Tile;
    let at = head_start(job);
    let quad = tile * 32u + lane * Q;
#if LANES == 1
    // A loop: drivers take long over that many copies of head_quad.
    for (var i = 0u; i < 32u && 4u * i < count; i++) {
        x[i] = head_quad(job, at, quad + i, factor);
    }
#else
#repeat B BLOCKS
    if lane * (4u * Q) + 16u * B < count {
#repeat R PER_BLOCK
        x[B * PER_BLOCK + R] = head_quad(job, at, quad + B * PER_BLOCK + R, factor);
#end
    }
#end
#endif
    return x;
}

// Largest exponent field of the head, whose first tile is `x`.
fn worst_field(job: Job, lane: u32, x: ptr<function, Tile>, factor: f32) -> u32 {
    var field = 0u;
#repeat V Q
    field = max(field, max_field4((*x)[V]));
#end
    let at = head_start(job);
    for (var i = 32u + lane; i < params.head_dim[job.side] / 4u; i += LANES) {
        field = max(field, max_field4(head_quad(job, at, i, factor)));
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
            let scales = job.unit + BLOCK * code_words(head_dim);
            store_scale(scales + index * (BLOCK / 2u), job.place, quantised.scales[B]);
        }
    }
#end
}

fn encode(job: Job, lane: u32) {
    if !any_head(job.inside) {
        return;
    }
    let factor = head_factor(job, lane);
    var x = load_tile(job, 0u, lane, tile_count(params.head_dim[job.side], 0u), factor);
    let worst = worst_field(job, lane, &x, factor);
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
            x = load_tile(job, tile, lane, count, factor);
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
