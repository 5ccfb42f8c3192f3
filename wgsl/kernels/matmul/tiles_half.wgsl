// Products of weights with the activations of many tokens through cooperative matrices of f16 with f32 sums:
// out[token][row] = weights[row] . x[token], plus a bias, plus what out holds already. Weights become f16 in workgroup
// memory, params.factor times as large, so that none is too large or too small for it.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights
// x: per token params.x_row vectors of four f16, a multiple of 32, zeros behind the last column (matmul/halves)
// token_scales: a value per token, what x is multiplied with
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of 8 subgroups of 32 per (TOKENS tokens, ROWS rows), tokens fastest; a subgroup does TOKENS / 2
//   tokens of ROWS / 4 rows
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/tiles_half.rs

#import grid
#import half_tile
#import store_sum

struct TilesHalfParams {
    row_words: u32,
    high_plane: u32,
    scales: u32,
    units: u32,
    rows: u32,
    tokens: u32,
    x_row: u32,
    first_row: u32,
    out_row: u32,
    bias: u32,
    add: u32,
    factor: f32,
    inverse: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> token_scales: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
#params TilesHalfParams

// Sums of a fragment of every subgroup on their way out.
var<workgroup> sums: array<f32, 8 * FRAGMENT * FRAGMENT>;

// The unit of a step that an invocation reads; behind the last it reads that again, where x has zeros.
fn unit_of(step: u32, t: u32) -> u32 {
    return min(2u * step + t % 2u, params.units - 1u);
}

// Where a token starts in x; behind the last it is the last again, of which nothing is stored.
fn x_row(token: u32) -> u32 {
    return min(token, params.tokens - 1u) * params.x_row;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let token_tiles = (params.tokens + TOKENS - 1u) / TOKENS;
    let first_token = (workgroup % token_tiles) * TOKENS;
    let first_row = (workgroup / token_tiles) * ROWS;
    // A workgroup beyond the last rows does the last again and stores nothing: naga sees no uniform control flow, which
    // cooperative matrices need, behind a return.
    // Every invocation keeps the next DEPTH times 64 columns in registers, while the matrices of the last are multiplied.
    let base = min(first_row + (t / 2u) % ROWS, params.rows - 1u) * params.row_words;
    let steps = params.x_row / 16u;
    var raw: array<RawUnit, DEPTH>;
    var values: array<vec4<f16>, DEPTH * TOKENS / 16>;
#repeat P DEPTH
    raw[P] = raw_unit(base, unit_of(P, t));
#repeat V TOKENS / 16
    values[P * (TOKENS / 16) + V] = x[x_row(first_token + t / 16u + 16u * V) + 16u * P + t % 16u];
#end
#end
    let token_at = (subgroup / 4u) * (TOKENS / 2u);
    let row_at = (subgroup % 4u) * (ROWS / 4u);
    var acc: array<MATRIX<f32, C>, TOKEN_PARTS * ROW_PARTS>;
    for (var step = 0u; step < steps; step += DEPTH) {
#repeat P DEPTH
        workgroupBarrier();
#repeat V TOKENS / 16
        store_token((t / 16u + 16u * V) * STRIDE + t % 16u, values[P * (TOKENS / 16) + V]);
#end
        if t < 2u * ROWS {
            store_unit(decoded_unit(raw[P], unit_of(step + P, t)), (t / 2u) * STRIDE + (t % 2u) * 8u);
        }
        workgroupBarrier();
        {
            // In the last steps this reads once more what is not used.
            let next = min(step + P + DEPTH, steps - 1u);
            raw[P] = raw_unit(base, unit_of(next, t));
#repeat V TOKENS / 16
            values[P * (TOKENS / 16) + V] = x[x_row(first_token + t / 16u + 16u * V) + 16u * next + t % 16u];
#end
        }
#repeat K 64 / FRAGMENT
        {
            var a: array<MATRIX<f16, A>, TOKEN_PARTS>;
#repeat I TOKEN_PARTS
            {
                let at = ((token_at + FRAGMENT * I) * STRIDE + K * FRAGMENT / 4) * PER_VECTOR;
                a[I] = coopLoadT<MATRIX<f16, A>>(&token_tile[at], STRIDE * PER_VECTOR);
            }
#end
#repeat J ROW_PARTS
            {
                let at = ((row_at + FRAGMENT * J) * STRIDE + K * FRAGMENT / 4) * PER_VECTOR;
                let b = coopLoad<MATRIX<f16, B>>(&row_tile[at], STRIDE * PER_VECTOR);
#repeat I TOKEN_PARTS
                acc[I * ROW_PARTS + J] = coopMultiplyAdd(a[I], b, acc[I * ROW_PARTS + J]);
#end
            }
#end
        }
#end
#end
    }
#repeat I TOKEN_PARTS
#repeat J ROW_PARTS
    {
        let part = acc[I * ROW_PARTS + J];
        let at = subgroup * (FRAGMENT * FRAGMENT);
        workgroupBarrier();
        coopStoreT(part, &sums[at], FRAGMENT);
        workgroupBarrier();
#repeat V FRAGMENT * FRAGMENT / 32
        {
            let owner = (t + 256u * V) / (FRAGMENT * FRAGMENT);
            let place = (t + 256u * V) % (FRAGMENT * FRAGMENT);
            let token = first_token + (owner / 4u) * (TOKENS / 2u) + FRAGMENT * I + place / FRAGMENT;
            let row = first_row + (owner % 4u) * (ROWS / 4u) + FRAGMENT * J + place % FRAGMENT;
            if token < params.tokens && row < params.rows {
                store_sum(sums[t + 256u * V] * params.inverse * token_scales[token], token, row);
            }
        }
#end
    }
#end
#end
}
