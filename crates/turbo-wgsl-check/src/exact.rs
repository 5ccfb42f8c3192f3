//! The rules of kernels whose results are the same bits on every device (`docs/exact-attention.md`).
//!
//! A driver may fuse a product with the add that takes it, and evaluates division, roots and transcendental functions
//! to its own accuracy. So in an Exact kernel a product goes through the opaque xor before an add sees it, and the
//! functions do not occur. What hides in a variable is beyond this check; the parity tests are the proof.

use naga::{
    BinaryOperator, Block, Expression, Function, Handle, MathFunction, Module, ScalarKind, Span, Statement,
    SubgroupOperation, TypeInner,
};

use crate::error::Stage;
use crate::validate::{Refusal, Valid};
use crate::variants::Allow;

/// Checks every function of an Exact kernel.
pub(crate) fn check(valid: &Valid, text: &str, allow: &[Allow]) -> Result<(), Refusal> {
    let module = &valid.module;
    for (handle, function) in module.functions.iter() {
        Checker { module, function, info: &valid.info[handle], allow }.check(text)?;
    }
    for (index, entry) in module.entry_points.iter().enumerate() {
        let info = valid.info.get_entry_point(index);
        Checker { module, function: &entry.function, info, allow }.check(text)?;
    }
    Ok(())
}

fn refusal(span: Span, text: &str, message: String) -> Refusal {
    let line = span.is_defined().then(|| span.location(text).line_number as usize);
    Refusal { stage: Stage::Exactness, line, message }
}

struct Checker<'a> {
    module: &'a Module,
    function: &'a Function,
    info: &'a naga::valid::FunctionInfo,
    allow: &'a [Allow],
}

impl Checker<'_> {
    fn check(&self, text: &str) -> Result<(), Refusal> {
        for (handle, expression) in self.function.expressions.iter() {
            if let Some(message) = self.problem(handle, expression) {
                return Err(refusal(self.function.expressions.get_span(handle), text, message));
            }
        }
        self.subgroup_sum(&self.function.body).map_or(Ok(()), |span| {
            let message = "subgroups add and multiply f32 in an order of their own: shuffle, and fix the order";
            Err(refusal(span, text, message.to_owned()))
        })
    }

    /// Where a subgroup adds or multiplies floats.
    fn subgroup_sum(&self, block: &Block) -> Option<Span> {
        block.span_iter().find_map(|(statement, span)| match statement {
            Statement::SubgroupCollectiveOperation { op, argument, .. } => {
                let ordered = matches!(op, SubgroupOperation::Add | SubgroupOperation::Mul) && self.is_float(*argument);
                (ordered && !self.allow.contains(&Allow::IntegerValues)).then_some(*span)
            }
            Statement::Block(inner) => self.subgroup_sum(inner),
            Statement::If { accept, reject, .. } => self.subgroup_sum(accept).or_else(|| self.subgroup_sum(reject)),
            Statement::Switch { cases, .. } => cases.iter().find_map(|case| self.subgroup_sum(&case.body)),
            Statement::Loop { body, continuing, .. } => {
                self.subgroup_sum(body).or_else(|| self.subgroup_sum(continuing))
            }
            _ => None,
        })
    }

    fn is_float(&self, handle: Handle<Expression>) -> bool {
        let scalar = match self.info[handle].ty.inner_with(&self.module.types) {
            TypeInner::Scalar(s) | TypeInner::Vector { scalar: s, .. } | TypeInner::Matrix { scalar: s, .. } => *s,
            _ => return false,
        };
        scalar.kind == ScalarKind::Float
    }

    fn problem(&self, handle: Handle<Expression>, expression: &Expression) -> Option<String> {
        let allowed = |a: Allow| self.allow.contains(&a);
        match expression {
            Expression::Binary { op, left, right } if self.is_float(handle) => match op {
                BinaryOperator::Add | BinaryOperator::Subtract if !allowed(Allow::IntegerValues) => {
                    let open = [*left, *right].into_iter().any(|operand| self.is_product(operand));
                    open.then(|| {
                        "a product meets an add in the open, which some drivers fuse: pass it through opaque() first"
                            .to_owned()
                    })
                }
                BinaryOperator::Divide | BinaryOperator::Modulo if !allowed(Allow::Division) => Some(
                    "f32 division differs between devices (allow = [\"division\"] for a corrected guess)".to_owned(),
                ),
                _ => None,
            },
            Expression::Math { fun, arg, .. } if self.is_float(*arg) => self.function_problem(*fun),
            Expression::CooperativeMultiplyAdd { .. } if !allowed(Allow::IntegerValues) => {
                Some("cooperative matrices add in an order of their own (allow = [\"integer_values\"])".to_owned())
            }
            _ => None,
        }
    }

    fn function_problem(&self, fun: MathFunction) -> Option<String> {
        use MathFunction as F;
        match fun {
            F::Abs | F::Min | F::Max | F::Clamp | F::Ceil | F::Floor | F::Round | F::Trunc | F::Sign => None,
            F::Sqrt | F::InverseSqrt if self.allow.contains(&Allow::Sqrt) => None,
            F::Sqrt | F::InverseSqrt => {
                Some("roots differ between devices (allow = [\"sqrt\"] for a corrected guess)".to_owned())
            }
            F::Fma | F::Dot if self.allow.contains(&Allow::IntegerValues) => None,
            other => Some(format!("{other:?} of f32 differs between devices")),
        }
    }

    /// Whether the value is a float product, seen through what moves values without changing them.
    fn is_product(&self, handle: Handle<Expression>) -> bool {
        match &self.function.expressions[handle] {
            Expression::Binary { op: BinaryOperator::Multiply, .. } => self.is_float(handle),
            Expression::Unary { expr, .. } => self.is_product(*expr),
            Expression::Splat { value, .. } => self.is_product(*value),
            Expression::Swizzle { vector, .. } => self.is_product(*vector),
            Expression::AccessIndex { base, .. } => self.is_product(*base),
            Expression::Compose { components, .. } => components.iter().any(|c| self.is_product(*c)),
            Expression::Select { accept, reject, .. } => self.is_product(*accept) || self.is_product(*reject),
            _ => false,
        }
    }
}
