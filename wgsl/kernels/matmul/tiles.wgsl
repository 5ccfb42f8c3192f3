// Products of quantised weights with the activations of many tokens: out[token][row] = weights[row] . x[token], plus a
// bias, plus what out holds already. Integer products of 32 columns, scaled and added in f32, and norms made up for, as
// in matvec.wgsl.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights
// codes: i8 codes of x, per token and 32 columns two vectors; a finer second plane params.fine_plane vectors behind
// heads: per token and 32 columns: scale, sums of the codes of the first and of the last 16 columns, sum of squares
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of 256 invocations per (64 tokens, 64 rows), tokens fastest; each does 4 tokens of 4 rows
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/tiles.rs

#import grid
#import product_params
#import store_tile
#import unit_dot
#import weight_unit

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
#params ProductParams

// A unit of every row and of every token of the tile.
var<workgroup> row_units: array<Unit, 64>;
var<workgroup> token_codes: array<vec4<u32>, 128>;
var<workgroup> token_fine: array<vec4<u32>, 128>;
var<workgroup> token_heads: array<vec4<f32>, 64>;

fn load_token(at: u32, t: u32) {
    token_heads[t] = heads[at];
#repeat H 2
    token_codes[2u * t + H] = codes[2u * at + H];
#end
    if params.fine_plane != 0u {
#repeat H 2
        token_fine[2u * t + H] = codes[params.fine_plane + 2u * at + H];
#end
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let token_tiles = (params.tokens + 63u) / 64u;
    let first_token = (workgroup % token_tiles) * 64u;
    let first_row = (workgroup / token_tiles) * 64u;
    if first_row >= params.rows {
        return;
    }
    let base = min(first_row + t % 64u, params.rows - 1u) * params.row_words;
    let token_base = min(first_token + t % 64u, params.tokens - 1u) * params.units;
    var sums: array<f32, 16>;
    var squares: array<f32, 4>;
    for (var unit = 0u; unit < params.units; unit++) {
        if t < 64u {
            row_units[t] = weight_unit(base, unit);
        } else if t < 128u {
            load_token(token_base + unit, t - 64u);
        }
        workgroupBarrier();
        var units: array<Unit, 4>;
#repeat I 4
        units[I] = row_units[t % 16u + 16u * I];
#end
#repeat J 4
        {
            let at = t / 16u + 16u * J;
            let head = token_heads[at];
            squares[J] += head.w;
            let first = token_codes[2u * at];
            let second = token_codes[2u * at + 1u];
            var dots: array<vec2<i32>, 4>;
#repeat I 4
            dots[I] = vec2<i32>(dot_16(units[I].first, first), dot_16(units[I].second, second));
#end
            if params.fine_plane != 0u {
                let fine_first = token_fine[2u * at];
                let fine_second = token_fine[2u * at + 1u];
#repeat I 4
                dots[I] = dots[I] * 256
                    + vec2<i32>(dot_16(units[I].first, fine_first), dot_16(units[I].second, fine_second));
#end
            }
#repeat I 4
            sums[4 * J + I] += scaled_dots(units[I], dots[I], head);
#end
        }
#end
        workgroupBarrier();
    }
    if params.normed != 0u {
#repeat J 4
        {
            let factor = 1.0 / sqrt(squares[J] / f32(params.units * 32u) + params.eps);
#repeat I 4
            sums[4 * J + I] *= factor;
#end
        }
#end
    }
    store_tile(sums, first_token, first_row, t);
}
