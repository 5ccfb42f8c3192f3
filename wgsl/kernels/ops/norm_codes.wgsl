// Integer codes of x * weight for rows of params.vectors vectors of four, and the sums of squares of x, by which products
// find the factor 1 / sqrt(mean(x^2) + eps) of the norm and multiply their results with it: no pass over a row waits for
// the row before it.
//
// x: units of 32 values of rows
// weight: params.vectors vectors of factors
// codes, heads: as matmul/matvec reads them
// grid: 64 invocations per workgroup, one for each unit; with SUBGROUP eight for each
// class: Bounded
// twin: crates/turbo-cpu/src/ops/norm_codes.rs

#define SQUARES true
#import codes_of_values

struct NormCodesParams {
    units: u32,
    vectors: u32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#ifdef SUBGROUP
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
#else
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<f32>>;
#params NormCodesParams

// Values 4 `place` .. 4 `place` + 3.
fn value_at(place: u32) -> vec4<f32> {
    return x[place] * weight[place % params.vectors];
}

// The sum of their squares; `place` may lie behind the last.
fn squares_at(place: u32) -> f32 {
    let values = x[min(place, params.units * 8u - 1u)];
    return dot(values, values);
}

fn unit_squares(unit: u32) -> f32 {
    var sum = 0.0;
#repeat I 8
    sum += squares_at(unit * 8u + I);
#end
    return sum;
}
