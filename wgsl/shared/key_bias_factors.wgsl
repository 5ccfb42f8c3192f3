// What query rows give with the bias of their K/V heads: factors of the columns, for the four tiles of a chunk.
// docs/exact-attention.md, section 11.
//
// Words: ROWS of a workgroup, MAX_PAIRS of a head.

#import float_bits
#import opaque

// Of every row: its largest exponent field.
var<workgroup> fields: array<atomic<u32>, ROWS>;
// Of every row and pair, in order: factors of its cosine and of its sine.
var<workgroup> cosines: array<vec4<f32>, ROWS * MAX_PAIRS>;
var<workgroup> sines: array<vec4<f32>, ROWS * MAX_PAIRS>;
// Of every row: the eight sums of every polynomial's factors, then the factors.
var<workgroup> sums: array<vec4<f32>, ROWS * 64>;
var<workgroup> polynomials: array<vec4<f32>, ROWS * 8>;
// Of every row: the eight sums of the values that are not rotated.
var<workgroup> unrotated: array<f32, ROWS * 8>;

// A value of the query in the frame of its head, without what is too small in it.
fn framed(x: f32, field: i32) -> f32 {
    let y = scale_pow2(x, 127 - field);
    return select(y, 0.0, abs(y) < 0x1p-24f);
}

fn flushed(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), abs(x) < vec4<f32>(0x1p-60f));
}

// The factors of row r of the workgroup's, by pairs: its query starts at `head`, the values of its bias at `first`.
fn pair_factors(r: u32, head: u32, first: u32, tile: vec4<u32>, t: u32) {
    let field = i32(atomicLoad(&fields[r]));
    for (var i = t; i < params.rotated / 2u; i += 64u) {
        let pair = pairs[i];
        let x = framed(query[head + pair.x], field);
        let y = framed(query[head + pair.y], field);
        let bx = bias[first + i];
        let by = bias[first + params.width + i];
        let a = vec4<f32>(opaque(x * bx) + opaque(y * by));
        let c = vec4<f32>(opaque(y * bx) - opaque(x * by));
        let at = tile * (2u * params.width) + vec4<u32>(i);
        let cos = vec4<f32>(tiles[at.x], tiles[at.y], tiles[at.z], tiles[at.w]);
        let behind = at + vec4<u32>(params.width);
        let sin = vec4<f32>(tiles[behind.x], tiles[behind.y], tiles[behind.z], tiles[behind.w]);
        cosines[r * MAX_PAIRS + i] = flushed(opaque4(a * cos) + opaque4(c * sin));
        sines[r * MAX_PAIRS + i] = flushed(opaque4(c * cos) - opaque4(a * sin));
    }
    if t < 8u {
        var sum = 0.0;
        for (var i = params.rotated + t; i < params.head_dim; i += 8u) {
            sum += opaque(framed(query[head + i], field) * bias[first + 2u * params.width + i - params.rotated]);
        }
        unrotated[r * 8u + t] = sum;
    }
}

// Sum t % 8 of the slow pairs' part of polynomial t / 8. Padding would add nothing.
fn slow_sums(r: u32, t: u32) {
    var sum = vec4<f32>(0.0);
    for (var i = params.fast + t % 8u; i < params.rotated / 2u; i += 8u) {
        var z = cosines[r * MAX_PAIRS + i];
        if (t / 8u) % 2u != 0u {
            z = sines[r * MAX_PAIRS + i];
        }
        sum += opaque4(z * weights[(t / 8u) * (params.width - params.fast) + i - params.fast]);
    }
    sums[r * 64u + t] = sum;
}

// The factors of the polynomials, row and polynomial t of the workgroup's.
fn polynomial_factors(t: u32) {
    if t >= ROWS * 8u {
        return;
    }
    let s = t * 8u;
    var y = ((sums[s] + sums[s + 1u]) + (sums[s + 2u] + sums[s + 3u]))
        + ((sums[s + 4u] + sums[s + 5u]) + (sums[s + 6u] + sums[s + 7u]));
    if t % 8u == 0u {
        y += vec4<f32>(((unrotated[t] + unrotated[t + 1u]) + (unrotated[t + 2u] + unrotated[t + 3u]))
            + ((unrotated[t + 4u] + unrotated[t + 5u]) + (unrotated[t + 6u] + unrotated[t + 7u])));
    }
    polynomials[t] = flushed(y);
}
