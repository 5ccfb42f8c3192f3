// Weights of sorted candidates and the draw of one; sampling/choose has them in `sorted`.

// Weights at temperature 1 and at that of the row, Q23: the best candidate has 2^23.
var<workgroup> weights: array<vec2<u32>, 256>;

// log2(e) * 65536.
const NATURAL: f32 = 94548.46;

// 2^(d * scale / 65536) of a difference d <= 0, Q23.
fn weight(d: f32, scale: f32) -> u32 {
    let power = i32(max(opaque(d) * scale, -2000000.0));
    return exp2_mantissa(vec4<i32>(power)).x >> min(u32(-(power >> 16u)), 31u);
}

fn weigh(kept: u32, scale: f32, t: u32) {
    if t < kept {
        let best = sorted[0].x;
        let mine = sorted[t].x;
        // The difference of two infinities is no number.
        let d = select(bitcast<f32>(logit_bits(mine)) - bitcast<f32>(logit_bits(best)), 0.0, mine == best);
        weights[t] = vec2<u32>(weight(d, NATURAL), weight(d, scale));
    }
    workgroupBarrier();
}

// The upper 32 bits of a product.
fn product_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let cross = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (mid >> 16u) + (cross >> 16u);
}

// The token at which the running sum of weights passes `share` of the whole.
fn draw(kept: u32, share: u32, top_p: u32, min_weight: u32) -> u32 {
    if kept == 0u {
        return 0xffffffffu;
    }
    var left = kept;
    if top_p != 0xffffffffu {
        var total = 0u;
        for (var i = 0u; i < kept; i++) {
            total += weights[i].x;
        }
        let enough = product_high(total, top_p);
        var reached = weights[0].x;
        left = 1u;
        while left < kept && reached <= enough {
            reached += weights[left].x;
            left++;
        }
    }
    var total = weights[0].y;
    var last = 1u;
    while last < left && weights[last].x >= min_weight {
        total += weights[last].y;
        last++;
    }
    let passed = product_high(total, share);
    var reached = weights[0].y;
    var at = 0u;
    while at + 1u < last && reached <= passed {
        at++;
        reached += weights[at].y;
    }
    return sorted[at].y;
}
