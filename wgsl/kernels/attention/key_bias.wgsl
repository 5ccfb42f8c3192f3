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
// grid: 64 invocations per row and params.span_chunks chunks (params.spans of them), chunks fastest
// class: Exact
// twin: crates/turbo-cpu/src/attention/key_bias.rs

#import attention_job
#import grid
#import key_bias_factors

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
    span_chunks: u32,
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

// The sum over the columns at key t of each of the four tiles.
fn column_sums(t: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < params.fast; i++) {
        sum += opaque4(cosines[i] * columns[i * 128u + t]);
        sum += opaque4(sines[i] * columns[i * 128u + 64u + t]);
    }
    let first = params.fast * 128u + t;
#repeat K 8
    sum += opaque4(polynomials[K] * columns[first + K * 64u]);
#end
    return sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let index = workgroup / params.spans;
    let row = params.first_row + index;
    let token = row / params.heads;
    let sequence = sequence_of(token);
    let position = sequence.start + token - sequence.first;
    let first_chunk = first_seen(sequence.start) / CHUNK;
    let start = first_chunk + (workgroup % params.spans) * params.span_chunks;
    let end = min(start + params.span_chunks, position / CHUNK + 1u);
    var chunk = max(start, first_seen(position) / CHUNK);
    if index >= params.rows || sequence.tokens == 0u || chunk >= end {
        return;
    }
    const WHOLE = vec4<f32>(536870912.0);
    let own = (row % params.heads) / params.group * (1u + 2u * params.width + params.head_dim - params.rotated);
    let head = row * params.head_dim;
    let field = largest_field(head, t);
    let mult = scale_pow2(params.score_factor, field - 127 + i32(bias[own]) + 16);
    let factor = select(mult, 0.0, field == 255);
    row_factors(head, own + 1u, field, t);
    for (; chunk < end; chunk++) {
        // Tiles behind the position are made as its own; nobody reads them.
        turn(min(vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(chunk * 4u), vec4<u32>(position / TILE)), t);
        workgroupBarrier();
        slow_sums(t);
        workgroupBarrier();
        polynomial_factors(t);
        workgroupBarrier();
        let parts = vec4<i32>(round(clamp(column_sums(t) * factor, -WHOLE, WHOLE)));
        let at = (index * params.slots + chunk - first_chunk) * CHUNK + t;
        key_bias[at] = parts.x;
        key_bias[at + 64u] = parts.y;
        key_bias[at + 128u] = parts.z;
        key_bias[at + 192u] = parts.w;
        workgroupBarrier();
    }
}
