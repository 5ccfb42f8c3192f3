// Activations as integer codes for products with quantised weights; see shared/activation_codes.wgsl.
//
// x: units of 32 f32
// codes, heads: as matmul/matvec reads them
// grid: 64 invocations per workgroup, one for each unit; with SUBGROUP eight for each
// class: Bounded
// twin: crates/turbo-cpu/src/ops/quantise.rs

#import codes_of_values

struct QuantiseParams {
    units: u32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
#ifdef SUBGROUP
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
#else
@group(0) @binding(1) var<storage, read_write> codes: array<vec4<u32>>;
#endif
@group(0) @binding(2) var<storage, read_write> heads: array<vec4<f32>>;
#params QuantiseParams

// Values 4 `place` .. 4 `place` + 3.
fn value_at(place: u32) -> vec4<f32> {
    return x[place];
}
