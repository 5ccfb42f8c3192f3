// What a query row gives with the bias of its K/V head: factors of the columns, for the four tiles of a chunk.
// docs/exact-attention.md, section 11.
//
// Words: MAX_PAIRS of a head.

#import float_bits
#import opaque

var<workgroup> top_field: atomic<u32>;
// Of every pair, in order: factors of its cosine and of its sine at position 0, then at the middles of the four tiles.
var<workgroup> factors: array<vec2<f32>, MAX_PAIRS>;
var<workgroup> cosines: array<vec4<f32>, MAX_PAIRS>;
var<workgroup> sines: array<vec4<f32>, MAX_PAIRS>;
// The eight sums of every polynomial's factors, then the factors.
var<workgroup> sums: array<vec4<f32>, 64>;
var<workgroup> polynomials: array<vec4<f32>, 8>;
// The eight sums of the values that are not rotated.
var<workgroup> unrotated: array<f32, 8>;

// A value of the query in the frame of its head, without what is too small in it.
fn framed(x: f32, field: i32) -> f32 {
    let y = scale_pow2(x, 127 - field);
    return select(y, 0.0, abs(y) < 0x1p-24f);
}

fn flushed(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), abs(x) < vec4<f32>(0x1p-60f));
}

// The largest exponent field of the query that starts at `head`, for all invocations.
fn largest_field(head: u32, t: u32) -> i32 {
    if t == 0u {
        atomicStore(&top_field, 0u);
    }
    workgroupBarrier();
    var field = 0u;
    for (var i = t; i < params.head_dim; i += 64u) {
        field = max(field, exponent_field(query[head + i]));
    }
    atomicMax(&top_field, field);
    workgroupBarrier();
    return i32(atomicLoad(&top_field));
}

// The factors by pairs, and of what is not rotated; the values of the bias start at `first`.
fn row_factors(head: u32, first: u32, field: i32, t: u32) {
    for (var i = t; i < params.rotated / 2u; i += 64u) {
        let pair = pairs[i];
        let x = framed(query[head + pair.x], field);
        let y = framed(query[head + pair.y], field);
        let bx = bias[first + i];
        let by = bias[first + params.width + i];
        factors[i] = vec2<f32>(opaque(x * bx) + opaque(y * by), opaque(y * bx) - opaque(x * by));
    }
    if t < 8u {
        var sum = 0.0;
        for (var i = params.rotated + t; i < params.head_dim; i += 8u) {
            sum += opaque(framed(query[head + i], field) * bias[first + 2u * params.width + i - params.rotated]);
        }
        unrotated[t] = sum;
    }
}

// The factors turned to four tiles; an invocation turns those that it has made.
fn turn(tile: vec4<u32>, t: u32) {
    for (var i = t; i < params.rotated / 2u; i += 64u) {
        let a = vec4<f32>(factors[i].x);
        let c = vec4<f32>(factors[i].y);
        let at = tile * (2u * params.width) + vec4<u32>(i);
        let cos = vec4<f32>(tiles[at.x], tiles[at.y], tiles[at.z], tiles[at.w]);
        let behind = at + vec4<u32>(params.width);
        let sin = vec4<f32>(tiles[behind.x], tiles[behind.y], tiles[behind.z], tiles[behind.w]);
        cosines[i] = flushed(opaque4(a * cos) + opaque4(c * sin));
        sines[i] = flushed(opaque4(c * cos) - opaque4(a * sin));
    }
}

// Sum t % 8 of the slow pairs' part of polynomial t / 8. Padding would add nothing.
fn slow_sums(t: u32) {
    var sum = vec4<f32>(0.0);
    for (var i = params.fast + t % 8u; i < params.rotated / 2u; i += 8u) {
        var z = cosines[i];
        if (t / 8u) % 2u != 0u {
            z = sines[i];
        }
        sum += opaque4(z * weights[(t / 8u) * (params.width - params.fast) + i - params.fast]);
    }
    sums[t] = sum;
}

fn polynomial_factors(t: u32) {
    if t >= 8u {
        return;
    }
    let s = t * 8u;
    var y = ((sums[s] + sums[s + 1u]) + (sums[s + 2u] + sums[s + 3u]))
        + ((sums[s + 4u] + sums[s + 5u]) + (sums[s + 6u] + sums[s + 7u]));
    if t == 0u {
        y += vec4<f32>(((unrotated[0] + unrotated[1]) + (unrotated[2] + unrotated[3]))
            + ((unrotated[4] + unrotated[5]) + (unrotated[6] + unrotated[7])));
    }
    polynomials[t] = flushed(y);
}
