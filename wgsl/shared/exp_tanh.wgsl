// exp and tanh that stay finite: the accuracy of drivers' own is enough, their behaviour at the ends is not.

fn exp_finite(x: vec4<f32>) -> vec4<f32> {
    return exp(clamp(x, vec4<f32>(-87.0), vec4<f32>(88.0)));
}

fn tanh_finite(x: vec4<f32>) -> vec4<f32> {
    let e = exp_finite(-2.0 * abs(x));
    let y = (1.0 - e) / (1.0 + e);
    return select(y, -y, x < vec4<f32>(0.0));
}
