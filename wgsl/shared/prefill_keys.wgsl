// Scores of the keys of a tile for coded K: integer dot products; docs/exact-attention.md, section 6.

#if K_TYPE != 0
#import octet TYPE=K_TYPE POOL=k_pool octet=k_octet
#import levels TYPE=K_TYPE levels=k_levels
#endif

#if K_TYPE == 0
// Query codes of a slice, 16 values each: high parts, then low parts.
var<workgroup> query_units: array<vec4<u32>, ROWS * 16>;
#else
var<workgroup> query_units: array<vec4<u32>, ROWS * 8>;
#endif

// Q16 log2 scores of the invocation's rows; component k is key 4 lane + k.
var<private> scores: array<vec4<i32>, 4>;

#if K_TYPE != 0
// Bytes 0 and 2 of a, then of b.
fn even_bytes(a: u32, b: u32) -> u32 {
    return (a & 0xffu) | ((a >> 8u) & 0xff00u) | ((b & 0xffu) << 16u) | ((b & 0xff0000u) << 8u);
}

// Codes of 16 values in the order of levels: of every octet the even values, then the odd ones.
fn by_octets(w: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        even_bytes(w.x, w.y),
        even_bytes(w.x >> 8u, w.y >> 8u),
        even_bytes(w.z, w.w),
        even_bytes(w.z >> 8u, w.w >> 8u),
    );
}
#endif

fn query_words(at: u32) -> vec4<u32> {
    return vec4<u32>(queries[at], queries[at + 1u], queries[at + 2u], queries[at + 3u]);
}

// Codes of the rows' queries of a slice to workgroup memory.
fn load_queries(slice: u32, t: u32) {
    let words = params.head_dim_k / 4u;
    let units = slice_size(params.head_dim_k, slice) / 16u;
    for (var i = t; i < ROWS * units; i += THREADS) {
        let row = i / units;
        let unit = i % units;
        let index = rows[row].x;
        let present = index != ABSENT;
#if K_TYPE == 0
        let at = select(0u, index, present) * words * 2u + slice * 32u + unit * 4u;
        query_units[place_of_row(row, unit)] = select(vec4<u32>(0u), query_words(at), present);
        query_units[ROWS * 8u + place_of_row(row, unit)] = select(vec4<u32>(0u), query_words(at + words), present);
#else
        let at = select(0u, index, present) * words + slice * 32u + unit * 4u;
        query_units[place_of_row(row, unit)] = select(vec4<u32>(0u), by_octets(query_words(at)), present);
#endif
    }
}

// Those of heads of one slice stay.
fn begin_queries(t: u32) {
    if params.head_dim_k <= 128u {
        load_queries(0u, t);
    }
}

// Levels of a slice of the tile's keys to workgroup memory.
fn expand_keys(unit_words: u32, slice: u32, t: u32) {
    let size = slice_size(params.head_dim_k, slice);
    let units = size / 16u;
    for (var i = t; i < units * 16u; i += THREADS) {
        let quad = i / units;
        let unit = i % units;
        let token = vec4<u32>(unit_words) + (vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(quad * 4u)) * params.k_words;
#if K_TYPE == 0
        let at = token + vec4<u32>(slice * 32u + unit * 4u);
#repeat C 4
        stage[place_of_key(quad * 4u + C, unit)] =
            vec4<u32>(k_pool[at[C]], k_pool[at[C] + 1u], k_pool[at[C] + 2u], k_pool[at[C] + 3u]);
#end
#else
        let n = unit_group(unit, size);
        let high = params.head_dim_k / 16u;
        let octet = slice * 16u + unit * 2u;
        let a = k_levels(vec4<u32>(
            k_octet(token.x, octet, high),
            k_octet(token.y, octet, high),
            k_octet(token.z, octet, high),
            k_octet(token.w, octet, high),
        ), n);
        let b = k_levels(vec4<u32>(
            k_octet(token.x, octet + 1u, high),
            k_octet(token.y, octet + 1u, high),
            k_octet(token.z, octet + 1u, high),
            k_octet(token.w, octet + 1u, high),
        ), n);
#repeat C 4
        stage[place_of_key(quad * 4u + C, unit)] = vec4<u32>(a.even[C], a.odd[C], b.even[C], b.odd[C]);
#end
#endif
    }
}

// Adds what the scale block `block`, with these sums, contributes to the scores.
fn add_scores(sums: array<vec4<i32>, 4>, unit_words: u32, block: u32, t: u32) {
    let at = unit_words + TILE * params.k_words + block * (TILE / 2u) + (t & 15u) * 2u;
    let scale = vec4<f32>(unpack2x16float(k_pool[at]), unpack2x16float(k_pool[at + 1u]));
    let first = (t / 16u) * 4u;
#repeat R 4
    {
        let index = rows[first + R].x;
        let mult = mults[select(index, 0u, index == ABSENT) * params.k_blocks + block];
        let product = opaque4(vec4<f32>(sums[R]) * scale);
        scores[R] += vec4<i32>(round(clamp(product * mult, vec4<f32>(-LIMIT), vec4<f32>(LIMIT))));
    }
#end
}

// The scores of a tile. Ends with the keys' levels and the queries still being read.
fn key_scores(unit_words: u32, t: u32) {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    let slices = (params.head_dim_k + 127u) / 128u;
    scores = array<vec4<i32>, 4>();
    var block = 0u;
    for (var slice = 0u; slice < slices; slice++) {
        if slice != 0u {
            workgroupBarrier();
        }
        if slices > 1u {
            load_queries(slice, t);
        }
        expand_keys(unit_words, slice, t);
        workgroupBarrier();
        let size = slice_size(params.head_dim_k, slice);
        var sums = array<vec4<i32>, 4>();
        for (var unit = 0u; unit < size / 16u; unit++) {
            let a = stage[place_of_key(lane * 4u, unit)];
            let b = stage[place_of_key(lane * 4u + 1u, unit)];
            let c = stage[place_of_key(lane * 4u + 2u, unit)];
            let d = stage[place_of_key(lane * 4u + 3u, unit)];
#repeat R 4
            {
                let q = query_units[place_of_row(first + R, unit)];
                let product = vec4<i32>(dot16(a, q), dot16(b, q), dot16(c, q), dot16(d, q));
#if K_TYPE == 0
                let low = query_units[ROWS * 8u + place_of_row(first + R, unit)];
                sums[R] += 255 * product + vec4<i32>(dot16(a, low), dot16(b, low), dot16(c, low), dot16(d, low));
#else
                sums[R] += product;
#endif
            }
#end
#ifdef K_QUANT
            let last = (unit & 1u) == 1u || (unit + 1u) * 16u == size;
#else
            let n = unit_group(unit, size);
            let last = (((unit + 1u) * 16u) & (n - 1u)) == 0u;
#endif
            if last {
                add_scores(sums, unit_words, block, t);
                sums = array<vec4<i32>, 4>();
                block++;
            }
        }
    }
}
