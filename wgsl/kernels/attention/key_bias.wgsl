// What the keys' bias adds to the scores of a cache whose keys are stored without it. docs/exact-attention.md,
// section 11.
//
// sequences: the sequences, four words each
// query: rows (token by token, head by head) of head_dim f32, after rope
// pairs: indices in a head of the two values of every pair: fast pairs, then slow ones, padded (params.width in all)
// columns: 64 values for the cosine and for the sine of every fast pair, then for eight polynomials
// weights: per polynomial, of every slow pair
// tiles: per tile of 64 positions, cosines of all pairs at its middle, then sines
// bias: per K/V head its exponent, first values of all pairs, second values, values that are not rotated
// key_bias: per row from params.first_row on, and chunk that its sequence sees (params.slots of them), 256 Q16 parts of
//   scores. Written are all keys of the tiles in which the row sees a key; 0 for a row with an inf or nan.
// grid: 64 invocations per row and chunk (params.spans of them), chunks fastest
// class: Exact
// twin: crates/turbo-cpu/src/attention/key_bias.rs

#import attention_job
#import float_bits
#import grid
#import opaque

struct KeyBiasParams {
    zero: u32,
    sequences: u32,
    heads: u32,
    group: u32,
    head_dim: u32,
    rotated: u32,
    fast: u32,
    width: u32,
    window: u32,
    first_row: u32,
    rows: u32,
    slots: u32,
    spans: u32,
    score_factor: f32,
}

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> query: array<f32>;
@group(0) @binding(2) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> columns: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read> tiles: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> key_bias: array<i32>;
#params KeyBiasParams

var<workgroup> top_field: atomic<u32>;
// Of every pair, for the chunk's four tiles: factors of its cosine and of its sine.
var<workgroup> cosines: array<vec4<f32>, MAX_WIDTH>;
var<workgroup> sines: array<vec4<f32>, MAX_WIDTH>;
// The eight sums of every polynomial's factors, then the factors.
var<workgroup> sums: array<vec4<f32>, 64>;
var<workgroup> polynomials: array<vec4<f32>, 8>;
// The eight sums of the values that are not rotated.
var<workgroup> unrotated: array<f32, 8>;

// A value of the query in the frame of its head, and without what is too small in it.
fn framed(x: f32, field: i32) -> f32 {
    let y = scale_pow2(x, 127 - field);
    return select(y, 0.0, abs(y) < 0x1p-24f);
}

fn flushed(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), abs(x) < vec4<f32>(0x1p-60f));
}

// The sequence of a token; one without tokens if there is none.
fn sequence_of(token: u32) -> Sequence {
    for (var i = 0u; i < params.sequences; i++) {
        let sequence = sequences[i];
        if token >= sequence.first && token < sequence.first + sequence.tokens {
            return sequence;
        }
    }
    return Sequence(0u, 0u, 0u, 0u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let index = workgroup / params.spans;
    let span = workgroup % params.spans;
    let row = params.first_row + index;
    let token = row / params.heads;
    let sequence = sequence_of(token);
    let position = sequence.start + token - sequence.first;
    let chunk = first_seen(sequence.start) / CHUNK + span;
    let hidden = chunk < first_seen(position) / CHUNK || chunk > position / CHUNK;
    if index >= params.rows || sequence.tokens == 0u || hidden {
        return;
    }
    let head = row * params.head_dim;
    if t == 0u {
        atomicStore(&top_field, 0u);
    }
    workgroupBarrier();
    for (var i = t; i < params.head_dim; i += 64u) {
        atomicMax(&top_field, exponent_field(query[head + i]));
    }
    workgroupBarrier();
    let field = i32(atomicLoad(&top_field));
    let width = params.width;
    let unpaired = params.head_dim - params.rotated;
    let own = (row % params.heads) / params.group * (1u + 2u * width + unpaired);
    let first = own + 1u;
    // Tiles behind the position are made as its own; nobody reads them.
    let tile = min(vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(chunk * 4u), vec4<u32>(position / TILE)) * (2u * width);
    for (var i = t; i < width; i += 64u) {
        let pair = pairs[i];
        let x = framed(query[head + pair.x], field);
        let y = framed(query[head + pair.y], field);
        let bx = bias[first + i];
        let by = bias[first + width + i];
        let a = vec4<f32>(opaque(x * bx) + opaque(y * by));
        let c = vec4<f32>(opaque(y * bx) - opaque(x * by));
        let at = tile + vec4<u32>(i);
        let cos = vec4<f32>(tiles[at.x], tiles[at.y], tiles[at.z], tiles[at.w]);
        let behind = at + vec4<u32>(width);
        let sin = vec4<f32>(tiles[behind.x], tiles[behind.y], tiles[behind.z], tiles[behind.w]);
        cosines[i] = flushed(opaque4(a * cos) + opaque4(c * sin));
        sines[i] = flushed(opaque4(c * cos) - opaque4(a * sin));
    }
    if t < 8u {
        var sum = 0.0;
        for (var i = t; i < unpaired; i += 8u) {
            sum += opaque(framed(query[head + params.rotated + i], field) * bias[first + 2u * width + i]);
        }
        unrotated[t] = sum;
    }
    workgroupBarrier();
    let slow = width - params.fast;
    var part = vec4<f32>(0.0);
    for (var i = t % 8u; i < slow; i += 8u) {
        let at = params.fast + i;
        var z = cosines[at];
        if (t / 8u) % 2u != 0u {
            z = sines[at];
        }
        part += opaque4(z * weights[(t / 8u) * slow + i]);
    }
    sums[t] = part;
    workgroupBarrier();
    if t < 8u {
        let s = t * 8u;
        var y = ((sums[s] + sums[s + 1u]) + (sums[s + 2u] + sums[s + 3u]))
            + ((sums[s + 4u] + sums[s + 5u]) + (sums[s + 6u] + sums[s + 7u]));
        if t == 0u {
            y += vec4<f32>(((unrotated[0] + unrotated[1]) + (unrotated[2] + unrotated[3]))
                + ((unrotated[4] + unrotated[5]) + (unrotated[6] + unrotated[7])));
        }
        polynomials[t] = flushed(y);
    }
    workgroupBarrier();
    var score = vec4<f32>(0.0);
    for (var i = 0u; i < params.fast; i++) {
        score += opaque4(cosines[i] * columns[i * 128u + t]);
        score += opaque4(sines[i] * columns[i * 128u + 64u + t]);
    }
    let column = params.fast * 128u + t;
#repeat K 8
    score += opaque4(polynomials[K] * columns[column + K * 64u]);
#end
    const WHOLE = vec4<f32>(536870912.0);
    let mult = scale_pow2(params.score_factor, field - 127 + i32(bias[own]) + 16);
    let kept = clamp(score * select(mult, 0.0, field == 255), -WHOLE, WHOLE);
    let parts = vec4<i32>(round(kept));
    let at = (index * params.slots + span) * CHUNK + t;
    key_bias[at] = parts.x;
    key_bias[at + 64u] = parts.y;
    key_bias[at + 128u] = parts.z;
    key_bias[at + 192u] = parts.w;
}
