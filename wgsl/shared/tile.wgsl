// A tile: 128 values of a head (the last tile of a head may have fewer), held by LANES neighbouring lanes.
//
// Value 4 * (lane * Q + v) is the first of vector v of a lane. 16 neighbouring values are a block, which lies in one
// rotation group; a lane has (parts of) BLOCKS blocks, PER_BLOCK vectors of each.
// Words: LANES, LOG_LANES, Q = 32 / LANES, LOG_Q, BLOCKS, PER_BLOCK; WHOLE where all head sizes are multiples of 128.

#import float_bits

alias Tile = array<vec4<f32>, Q>;
alias Codes = array<vec4<u32>, Q>;
alias Blocks = array<u32, BLOCKS>;

// Values of tile `tile` of a head.
fn tile_count(head_dim: u32, tile: u32) -> u32 {
    return min(max(head_dim, tile * 128u) - tile * 128u, 128u);
}

// Size of the rotation group around value `at` of a tile of `count` values: a short tile is cut into 64, 32 and 16.
fn group_size(at: u32, count: u32) -> u32 {
#ifdef WHOLE
    return 128u;
#else
    let small = select(16u, 32u, at < (count & 96u));
    let large = select(small, 64u, at < (count & 64u));
    return select(large, 128u, count == 128u);
#endif
}

// The same for every block of a lane.
fn group_sizes(lane: u32, count: u32) -> Blocks {
    var sizes: Blocks;
#repeat B BLOCKS
    sizes[B] = group_size(lane * (4u * Q) + 16u * B, count);
#end
    return sizes;
}

// Largest exponent field of the lane's part of every block.
fn block_fields(tile: ptr<function, Tile>) -> Blocks {
    var fields: Blocks;
#repeat V Q
    fields[V / 4] = max(fields[V / 4], max_field4((*tile)[V]));
#end
    return fields;
}

fn normalise_tile(tile: ptr<function, Tile>, fields: Blocks) {
#repeat V Q
    (*tile)[V] = normalise4((*tile)[V], fields[V / 4]);
#end
}
