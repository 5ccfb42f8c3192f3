// Activation of a gate; GELU the tanh form of GELU, else SiLU.

#import exp_tanh

fn activated(x: vec4<f32>) -> vec4<f32> {
#ifdef GELU
    return 0.5 * x * (1.0 + tanh_finite(0.7978846 * x * (1.0 + 0.044715 * x * x)));
#else
    return x / (1.0 + exp_finite(-x));
#endif
}
