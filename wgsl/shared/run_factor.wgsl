// The factor 1 / sqrt(mean(x^2) + eps) of a run of params.cols values of x, found by LANES invocations.
//
// Words: LANES.

var<workgroup> squares: array<f32, 256>;

// `at` is the run's first value, `t` the invocation; all invocations of the workgroup take part.
fn run_factor(at: u32, t: u32) -> f32 {
    let lane = t % LANES;
    var square = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        square += x[at + i] * x[at + i];
    }
    squares[t] = square;
    workgroupBarrier();
    var part = 0.0;
    if lane < 16u {
        for (var i = lane; i < LANES; i += 16u) {
            part += squares[t - lane + i];
        }
    }
    workgroupBarrier();
    if lane < 16u {
        squares[t] = part;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) {
        sum += squares[t - lane + i];
    }
    return 1.0 / sqrt(sum / f32(params.cols) + params.eps);
}
