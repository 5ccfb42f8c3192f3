// The entry point of kernels that give LANES lanes of a workgroup of 64 to a head.
//
// Words: LANES; `heads_of` takes the place and the size of the grid, the invocation's number in its workgroup, and
// whether the subgroup has 32 lanes.

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#if LANES == 1
    @builtin(local_invocation_index) local: u32,
#else
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
#if LANES == 1
    heads_of(id, size, local, false);
#else
    heads_of(id, size, subgroup * subgroup_size + subgroup_lane, subgroup_size == 32u);
#endif
}
