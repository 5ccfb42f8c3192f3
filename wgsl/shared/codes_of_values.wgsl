// The entry point of kernels that round values one by one to codes: the kernel's value_at(place) makes four of them.
//
// Words: SUBGROUP where eight lanes have a unit, else an invocation has one.

#import grid
#ifdef SUBGROUP
#import activation_codes_lanes
#else
#import activation_codes
#endif

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#ifdef SUBGROUP
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let place = linear_workgroup(id, size) * 64u + subgroup * subgroup_size + lane;
    let present = place < params.units * 8u;
    store_codes_lanes(value_at(select(0u, place, present)), place, present);
}
#else
    @builtin(local_invocation_index) t: u32,
) {
    let unit = linear_workgroup(id, size) * 64u + t;
    if unit >= params.units {
        return;
    }
    var values: array<vec4<f32>, 8>;
#repeat I 8
    values[I] = value_at(unit * 8u + I);
#end
    store_codes(values, unit);
}
#endif
