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
// grid: 64 invocations per ROWS rows and chunk (params.spans of them), chunks fastest
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

// A row in the workgroup's chunk.
struct Place {
    // First value of its query.
    head: u32,
    // First value of its K/V head's bias: the exponent.
    bias: u32,
    // The chunk, and the last tile that the row sees.
    chunk: u32,
    last: u32,
    // Whether it sees keys of the chunk.
    present: bool,
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

// Row `index` of the dispatch, in chunk `span` of those its sequence sees.
fn place_of(index: u32, span: u32) -> Place {
    let row = params.first_row + index;
    let token = row / params.heads;
    let sequence = sequence_of(token);
    let position = sequence.start + token - sequence.first;
    let chunk = first_seen(sequence.start) / CHUNK + span;
    let seen = chunk >= first_seen(position) / CHUNK && chunk <= position / CHUNK;
    let present = seen && sequence.tokens > 0u && index < params.rows;
    let kv_head = (row % params.heads) / params.group;
    let stride = 1u + 2u * params.width + params.head_dim - params.rotated;
    // A row that is absent is made as the first one and not written.
    return Place(
        select(0u, row * params.head_dim, present),
        select(0u, kv_head * stride, present),
        select(0u, chunk, present),
        select(0u, position / TILE, present),
        present,
    );
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let span = workgroup % params.spans;
    let first = workgroup / params.spans * ROWS;
    var places: array<Place, ROWS>;
    var any = false;
#repeat R ROWS
    places[R] = place_of(first + R, span);
    any |= places[R].present;
#end
    if !any {
        return;
    }
    if t < ROWS {
        atomicStore(&fields[t], 0u);
    }
    workgroupBarrier();
#repeat R ROWS
    for (var i = t; i < params.head_dim; i += 64u) {
        atomicMax(&fields[R], exponent_field(query[places[R].head + i]));
    }
#end
    workgroupBarrier();
#repeat R ROWS
    {
        // Tiles behind the row's position are made as its own; nobody reads them.
        let tile = min(vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(places[R].chunk * 4u), vec4<u32>(places[R].last));
        pair_factors(R, places[R].head, places[R].bias + 1u, tile, t);
    }
#end
    workgroupBarrier();
#repeat R ROWS
    slow_sums(R, t);
#end
    workgroupBarrier();
    polynomial_factors(t);
    workgroupBarrier();
    var scores: array<vec4<f32>, ROWS>;
    for (var i = 0u; i < params.fast; i++) {
        let cos = columns[i * 128u + t];
        let sin = columns[i * 128u + 64u + t];
#repeat R ROWS
        scores[R] += opaque4(cosines[R * MAX_PAIRS + i] * cos);
        scores[R] += opaque4(sines[R * MAX_PAIRS + i] * sin);
#end
    }
#repeat K 8
    {
        let column = columns[(params.fast * 2u + K) * 64u + t];
#repeat R ROWS
        scores[R] += opaque4(polynomials[R * 8u + K] * column);
#end
    }
#end
    const WHOLE = vec4<f32>(536870912.0);
#repeat R ROWS
    if places[R].present {
        let field = i32(atomicLoad(&fields[R]));
        let mult = scale_pow2(params.score_factor, field - 127 + i32(bias[places[R].bias]) + 16);
        let kept = clamp(scores[R] * select(mult, 0.0, field == 255), -WHOLE, WHOLE);
        let parts = vec4<i32>(round(kept));
        let at = ((first + R) * params.slots + span) * CHUNK + t;
        key_bias[at] = parts.x;
        key_bias[at + 64u] = parts.y;
        key_bias[at + 128u] = parts.z;
        key_bias[at + 192u] = parts.w;
    }
#end
}
