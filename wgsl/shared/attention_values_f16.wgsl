// Softmax weights and value sums of a chunk for f16 V, in f32.

#import attention_softmax

// 2^k for k <= 0, 0 below the normal range.
fn power_of_two(k: i32) -> f32 {
    return bitcast<f32>(select(0u, u32(127 + max(k, -127)) << 23u, k > -127));
}

// Sums of eight values over an item's keys, to scratch. Items of a slice of n values: octet, then tile, then share of
// the tile's keys.
fn sum_item(units: vec4<u32>, octet: u32, n: u32, t: u32) {
    let per = n / 8u;
    let tile = (t / per) & 3u;
    let keys = per * 4u;
    let first = (t / keys) * keys;
    let at = units[tile] + (octet + t % per) * 4u;
    var sums: array<array<vec4<f32>, 2>, ROWS>;
    for (var key = first; key < first + keys; key++) {
        let words = at + key * V_WORDS;
        let a = unpack2x16float(v_pool[words]);
        let b = unpack2x16float(v_pool[words + 1u]);
        let c = unpack2x16float(v_pool[words + 2u]);
        let d = unpack2x16float(v_pool[words + 3u]);
#repeat R ROWS
        {
            let w = weights[R * 256u + tile * 64u + key];
            sums[R][0] += opaque4(w * vec4<f32>(a, b));
            sums[R][1] += opaque4(w * vec4<f32>(c, d));
        }
#end
    }
#repeat R ROWS
#repeat H 2
    {
        let to = R * ROW_WORDS + H * 272u + t;
        let sum = bitcast<vec4<i32>>(sums[R][H]);
        scratch[to] = sum.x;
        scratch[to + 68u] = sum.y;
        scratch[to + 136u] = sum.z;
        scratch[to + 204u] = sum.w;
    }
#end
#end
}

// Adds the tiles' sums of a slice in order, in the frame of the chunk's largest exponent, and writes them.
fn fold_slice(row: u32, first: u32, n: u32, slot: u32, t: u32) {
    let index = rows[row].x;
    if index == ABSENT {
        return;
    }
    let tops = largest_exponents(row);
    let e = max(max(tops.x, tops.y), max(tops.z, tops.w));
    let partial = partial_at(index, slot);
    if t == 0u && first == 0u {
        partials[partial + 2u] = bitcast<u32>(e);
        partials[partial + 3u] = 0u;
    }
    let per = n / 8u;
    let shares = 16u / per;
    for (var i = t; i < n; i += 64u) {
        let at = row * ROW_WORDS + (i & 7u) * 68u + i / 8u;
        var sum = 0.0;
#repeat J 4
        {
            var part = 0.0;
            for (var share = 0u; share < shares; share++) {
                part += bitcast<f32>(scratch[at + (J + share * 4u) * per]);
            }
            sum += opaque(part * power_of_two(tops[J] - e));
        }
#end
        partials[partial + partial_head(params.v_blocks) + first + i] = bitcast<u32>(sum);
    }
}

var<workgroup> weights: array<f32, ROWS * 256>;

fn add_values(scores: Scores, position: vec4<u32>, units: vec4<u32>, slot: u32, t: u32) {
    var powers = powers_of(scores, position, t);
    workgroupBarrier();
    sum_mantissas(powers);
#repeat R ROWS
    {
        let drop = powers.exponent[R] - largest_exponents(R);
        // A key that is not seen may be above: its mantissa is 0.
        let p = vec4<f32>(bitcast<vec4<i32>>(powers.mantissa[R])) * 0x1p-23f;
        weights[R * 256u + t] = p.x * power_of_two(min(drop.x, 0));
        weights[R * 256u + 64u + t] = p.y * power_of_two(min(drop.y, 0));
        weights[R * 256u + 128u + t] = p.z * power_of_two(min(drop.z, 0));
        weights[R * 256u + 192u + t] = p.w * power_of_two(min(drop.w, 0));
    }
#end
    workgroupBarrier();
    var octet = 0u;
    while octet * 8u < DIM_V {
        let n = group_size(DIM_V - octet * 8u);
        sum_item(units, octet, n, t);
        workgroupBarrier();
        for (var row = 0u; row < ROWS; row++) {
            fold_slice(row, octet * 8u, n, slot, t);
        }
        if octet == 0u {
            write_denominator(slot, t);
        }
        workgroupBarrier();
        octet += n / 8u;
    }
}
