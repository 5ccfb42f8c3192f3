// The factor 1 / sqrt(mean(x^2) + eps) of a run of params.cols values, by a workgroup of 256 in subgroups.

var<workgroup> squares: array<f32, 64>;

// `at` is the run's first vector of four.
fn run_factor(at: u32, t: u32, subgroup: u32, subgroup_size: u32, lane: u32) -> f32 {
    var square = 0.0;
    for (var i = t; i < params.cols / 4u; i += 256u) {
        square += dot(x[at + i], x[at + i]);
    }
    let sum = subgroupAdd(square);
    if lane == 0u {
        squares[subgroup] = sum;
    }
    workgroupBarrier();
    var all = 0.0;
    for (var i = 0u; i < 256u / subgroup_size; i++) {
        all += squares[i];
    }
    return 1.0 / sqrt(all / f32(params.cols) + params.eps);
}
