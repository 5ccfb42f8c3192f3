// Levels and weights of the values of a tile for coded V; docs/exact-attention.md, section 8.

#if V_TYPE != 0
#import octet TYPE=V_TYPE POOL=v_pool octet=v_octet
#import levels TYPE=V_TYPE levels=v_levels
#endif
#import prefill_weights

// Scale blocks of a slice of `size` values.
fn slice_blocks(size: u32) -> u32 {
#ifdef WHOLE
    return u32(BLOCKS);
#else
#ifdef V_QUANT
    return (size + 31u) / 32u;
#else
    return select(countOneBits(size), 1u, size == 128u);
#endif
#endif
}

// Scale block of a unit within its slice.
fn unit_block(unit: u32, size: u32) -> u32 {
#ifdef V_QUANT
    return unit / 2u;
#else
    return unit_group_index(unit, size);
#endif
}

// Scales of the invocation's keys for block `block` of a slice.
fn value_scales(unit_words: u32, slice: u32, block: u32, t: u32) -> Scales {
#ifdef V_QUANT
    let first = slice * 4u;
#else
    let first = slice;
#endif
    let at = unit_words + TILE * params.v_words + (first + block) * (TILE / 2u) + (t & 15u) * 2u;
    let a = v_pool[at];
    let b = v_pool[at + 1u];
    return scales_of(vec4<u32>(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u));
}

// Levels of a slice of the tile's values to workgroup memory, a byte per key.
fn expand_values(unit_words: u32, slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    let octets = size / 8u;
    for (var i = t; i < octets * 16u; i += THREADS) {
        let quad = i / octets;
        let octet = i % octets;
        let token = vec4<u32>(unit_words) + (vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(quad * 4u)) * params.v_words;
#if V_TYPE == 0
        let a = token + vec4<u32>(slice * 32u + octet * 2u);
        let b = a + vec4<u32>(1u);
        let low = bytes_of_four(vec4<u32>(v_pool[a.x], v_pool[a.y], v_pool[a.z], v_pool[a.w]));
        let high = bytes_of_four(vec4<u32>(v_pool[b.x], v_pool[b.y], v_pool[b.z], v_pool[b.w]));
#repeat J 4
        stage[place_of_value(octet * 8u + J, quad >> 2u)][quad & 3u] = low[J];
        stage[place_of_value(octet * 8u + 4u + J, quad >> 2u)][quad & 3u] = high[J];
#end
#else
        let high = params.head_dim_v / 16u;
        let at = slice * 16u + octet;
        let codes = vec4<u32>(
            v_octet(token.x, at, high),
            v_octet(token.y, at, high),
            v_octet(token.z, at, high),
            v_octet(token.w, at, high),
        );
        let levels = v_levels(bytes_of_four(codes), unit_group(octet / 2u, size));
#repeat J 4
        stage[place_of_value(octet * 8u + 2u * J, quad >> 2u)][quad & 3u] = levels.even[J];
        stage[place_of_value(octet * 8u + 2u * J + 1u, quad >> 2u)][quad & 3u] = levels.odd[J];
#end
#endif
    }
}

// Writes the weights of a block; returns the frames of the invocation's rows.
fn write_weights(scales: Scales, block: u32, t: u32) -> vec4<i32> {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    var products: array<Products, 4>;
#repeat R 4
    products[R] = products_of(mantissas[R], exponents[R], scales);
#end
#ifdef SUBGROUP
    let frame = largest_of_lanes(vec4<i32>(
        top_of(products[0]),
        top_of(products[1]),
        top_of(products[2]),
        top_of(products[3]),
    ));
#else
    let frame = vec4<i32>(
        atomicLoad(&row_frames[first * 4u + block]),
        atomicLoad(&row_frames[first * 4u + 4u + block]),
        atomicLoad(&row_frames[first * 4u + 8u + block]),
        atomicLoad(&row_frames[first * 4u + 12u + block]),
    );
#endif
#repeat R 4
    {
        let planes = planes_of(weights_of(products[R], frame[R], scales));
        weights[place_of_row(first + R, lane >> 2u)][lane & 3u] = planes.x;
        weights[place_of_row(first + R, 4u + (lane >> 2u))][lane & 3u] = planes.y;
    }
#end
    return frame;
}
