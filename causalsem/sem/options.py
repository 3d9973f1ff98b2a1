"""SEMOptions: every choice of a fit, by lavaan's names with _ for the dot, and what each preset sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, Literal, get_args

from causalsem.errors import SettingError, check_names, shown

Preset = Literal["sem", "cfa", "growth", "lavaan", "dag"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an estimator's name stands for: what is minimised, which standard errors, which test, which information."""

    discrepancy: Literal["ML", "GLS", "ULS", "WLS", "DWLS"]
    se: str
    test: str
    information: str
    # Of the test where it is not that of the errors: "h1" takes the saturated model's Hessian at the model's moments.
    test_information: str | None = None


PLANS: Mapping[str, Plan] = {
    "ML": Plan("ML", "standard", "standard", "expected"),
    "MLF": Plan("ML", "first.order", "standard", "observed"),
    "MLR": Plan("ML", "robust.huber.white", "yuan.bentler.mplus", "observed"),
    "MLM": Plan("ML", "robust.sem", "satorra.bentler", "expected"),
    "MLMV": Plan("ML", "robust.sem", "scaled.shifted", "expected"),
    "MLMVS": Plan("ML", "robust.sem", "mean.var.adjusted", "expected"),
    "GLS": Plan("GLS", "standard", "standard", "expected"),
    "ULS": Plan("ULS", "standard", "standard", "expected"),
    "ULSM": Plan("ULS", "robust.sem", "satorra.bentler", "expected"),
    "ULSMV": Plan("ULS", "robust.sem", "scaled.shifted", "expected"),
    "ULSMVS": Plan("ULS", "robust.sem", "mean.var.adjusted", "expected"),
    "WLS": Plan("WLS", "standard", "standard", "expected"),
    "DWLS": Plan("DWLS", "standard", "standard", "expected"),
    "WLSM": Plan("DWLS", "robust.sem", "satorra.bentler", "expected"),
    "WLSMV": Plan("DWLS", "robust.sem", "scaled.shifted", "expected"),
    "WLSMVS": Plan("DWLS", "robust.sem", "mean.var.adjusted", "expected"),
}
ALIASES = {"robust.cluster": "robust.huber.white", "robust.mlr": "robust.huber.white", "robust.mlm": "robust.sem"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SEMOptions:
    """Choices of a fit; None means "as the preset, the estimator and the data say"."""

    preset: Preset = "sem"
    estimator: str = "ML"
    missing: str = "listwise"
    se: str | None = None
    test: str | None = None
    ordered: tuple[str, ...] | bool = ()
    group: str | None = None
    group_equal: tuple[str, ...] = ()
    group_partial: tuple[str, ...] = ()
    # Names of columns: rows that share a value in any of them may depend on each other. () is independent rows.
    cluster: str | tuple[str, ...] | None = None
    fixed_x: bool | None = None
    std_lv: bool = False
    meanstructure: bool | None = None
    likelihood: str = "normal"
    information: str | None = None
    parameterization: str = "delta"
    orthogonal: bool = False
    effect_coding: bool | tuple[str, ...] = ()
    bounds: str | None = None
    auto_cov_y: bool | None = None
    auto_cov_lv_x: bool | None = None
    auto_var: bool | None = None
    auto_fix_first: bool | None = None
    auto_fix_single: bool | None = None
    auto_th: bool | None = None
    auto_delta: bool | None = None
    conditional_x: bool | None = None
    int_ov_free: bool | None = None
    int_lv_free: bool | None = None
    mimic: str = "lavaan"
    level: float = 0.95
    max_steps: int = 500
    seed: int = 0
    # Set by the fit where the model text has level: blocks.
    two_level: bool = False

    def __post_init__(self) -> None:
        if self.cluster is not None:
            object.__setattr__(self, "cluster", (self.cluster,) if isinstance(self.cluster, str) else tuple(self.cluster))

    @classmethod
    def build(cls, preset: str, options: Mapping[str, Any]) -> SEMOptions:
        """Return the options of a preset with the caller's on top; raises SettingError or UnknownNameError."""
        if preset not in get_args(Preset):
            raise SettingError(f"unknown preset {preset!r}; use one of {shown(get_args(Preset))}")
        known = [f.name for f in fields(cls) if f.name != "preset"]
        check_names(options, known, what="option", where="fit_sem")
        for name in ("ordered", "group_equal", "group_partial", "effect_coding"):
            value = options.get(name, ())
            if value is True:
                options = {**options, name: ("loadings", "intercepts")} if name == "effect_coding" else options
                continue
            if value is None or isinstance(value, (str, bool)):
                tupled = (value,) if isinstance(value, str) and value else ()
                options = {**options, name: tupled}
            else:
                options = {**options, name: tuple(value)}
        if isinstance(options.get("test"), (list, tuple)):
            # lavaan prints several tests side by side; here the standard one is always there, so one more can be named.
            more = [t for t in options["test"] if t != "standard"]
            if len(more) > 1:
                raise SettingError(f"test={more!r} names several scaled tests; name one of them")
            options = {**options, "test": more[0] if more else "standard"}
        if isinstance(options.get("bounds"), bool):
            options = {**options, "bounds": "wide" if options["bounds"] else "none"}
        told = {**PRESETS[preset], **{k: v for k, v in options.items() if v is not None}}
        scaled = told.get("std_lv") or "loadings" in told.get("effect_coding", ())
        if scaled and "auto_fix_first" not in options:
            told["auto_fix_first"] = False
        told["mimic"] = str(told.get("mimic", "lavaan")).lower()
        return cls(preset=preset, **told).checked()  # type: ignore[arg-type]  # checked above

    def checked(self) -> SEMOptions:
        """Return self, or raise SettingError at a value outside what is built."""
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None and one not in allowed:
                    raise SettingError(f"{name}={one!r} is not available; use one of {shown(str(a) for a in allowed)}", setting=name)
        for name in ("max_steps", "seed"):
            if not isinstance(getattr(self, name), Integral) or isinstance(getattr(self, name), bool):
                raise SettingError(f"{name}={getattr(self, name)!r} is not a whole number; use one", setting=name)
        if (self.group_equal or self.group_partial) and self.group is None:
            raise SettingError("group_equal and group_partial compare groups; name the column of the groups: group=")
        self._check_combination()
        if not isinstance(self.level, (int, float)) or not 0.0 < self.level < 1.0:
            raise SettingError(f"level={self.level!r} is not a confidence level; use a number between 0 and 1, such as 0.95")
        if self.max_steps < 1:
            raise SettingError(f"max_steps={self.max_steps!r} leaves no step to take; use 1 or more")
        return self

    def _check_combination(self) -> None:
        """Raise SettingError where two choices cannot go together."""
        plan = self.plan
        by_moments = plan.test in ("satorra.bentler", "scaled.shifted", "mean.var.adjusted", "yuan.bentler") or plan.se == "robust.sem"
        if self.fiml and (plan.discrepancy != "ML" or by_moments):
            raise SettingError(
                f"missing={self.missing!r} goes with estimator 'ML', 'MLF' or 'MLR', not {self.estimator!r}; choose one of those"
            )
        unknown = plan.se in ("robust.huber.white", "first.order") or plan.test == "yuan.bentler.mplus"
        if plan.discrepancy != "ML" and unknown:
            raise SettingError(
                f"estimator={self.estimator!r} has se='standard' or 'robust.sem' and tests by moments; use 'MLR' for this one"
            )
        if self.std_lv and "loadings" in self.effect_codes:
            raise SettingError("std_lv and effect_coding of loadings both set the scale of latent variables; choose one")
        if self.two_level:
            known = plan.discrepancy == "ML" and not by_moments and plan.test in ("standard", "yuan.bentler.mplus", "none")
            if len(self.clusters) != 1 or self.fiml or not known:
                told = "a two-level model goes with cluster= of one column, complete rows and estimator 'ML' or 'MLR'; choose those"
                raise SettingError(told)

    def for_one_level(self) -> SEMOptions:
        """Return self, or raise SettingError where cluster= goes with errors that know nothing of clusters."""
        plan = self.plan
        if self.clusters and (plan.discrepancy != "ML" or plan.se not in ("robust.huber.white", "none")):
            raise SettingError("cluster goes with estimator 'MLR' (robust standard errors); choose that")
        return self

    def for_rows(self, ways: tuple[str, ...]) -> SEMOptions:
        """Return the options for rows that come in clusters of these ways, unless the caller chose clusters or other errors."""
        robust = self.se in (None, "robust", "robust.cluster", "robust.huber.white")
        likely = self.estimator in ("ML", "MLR") and self.test in (None, "standard", "yuan.bentler.mplus", "none")
        return replace(self, cluster=ways) if self.cluster is None and robust and likely else self

    def for_ordered(self, told: bool) -> SEMOptions:
        """Return the options of a model with ordered variables: WLSMV where the caller told no estimator."""
        chosen = self if told else replace(self, estimator="WLSMV")
        if chosen.plan.discrepancy not in ("ULS", "DWLS", "WLS"):
            known = [name for name, plan in PLANS.items() if plan.discrepancy in ("ULS", "DWLS", "WLS")]
            raise SettingError(f"estimator={self.estimator!r} is not built for ordered variables; use one of {shown(known, 12)}")
        if chosen.conditional_x is None:
            chosen = replace(chosen, conditional_x=chosen.fixed_x is not False)
        if self.fiml or self.clusters:
            raise SettingError("ordered variables go with complete rows of one level; leave out missing= and cluster=")
        return chosen.checked()

    @property
    def clusters(self) -> tuple[str, ...]:
        """The columns whose values put rows into clusters; none where rows are independent."""
        return () if self.cluster is None else tuple(self.cluster)

    @property
    def effect_codes(self) -> tuple[str, ...]:
        """What effect coding constrains: "loadings", "intercepts" or both."""
        return self.effect_coding if isinstance(self.effect_coding, tuple) else ()

    @property
    def holds_x(self) -> bool:
        """Whether exogenous observed variables keep their sample moments; lavaan's least squares let them vary."""
        if self.fixed_x is not None:
            return self.fixed_x
        return self.plan.discrepancy == "ML" or bool(self.conditional_x)

    @property
    def equal_groups(self) -> tuple[str, ...]:
        """What is equal across groups; Mplus starts with loadings and intercepts, and ordered variables equate both or none."""
        equal = tuple(e for e in self.group_equal if e != "none")
        if self.mimic == "mplus" and not self.group_equal:
            equal = ("loadings", "intercepts") if self.meanstructure is not False else ("loadings",)
        both = {"intercepts", "thresholds"}
        return tuple(dict.fromkeys((*equal, *sorted(both)))) if self.conditional_x is not None and both & set(equal) else equal

    @property
    def rescale(self) -> bool:
        """Whether covariances get the divisor N (ML with "normal" likelihood) instead of N − 1 ("wishart", least squares)."""
        return self.likelihood == "normal" and self.plan.discrepancy == "ML"

    @property
    def fiml(self) -> bool:
        """Whether incomplete rows are kept (full-information ML)."""
        return self.missing in ("fiml", "ml", "direct")

    @property
    def plan(self) -> Plan:
        """What the estimator's name stands for, with the caller's se, test and information on top."""
        plan = PLANS["MLR" if self.clusters and self.estimator == "ML" and not self.two_level else self.estimator]
        observed = self.mimic == "mplus" and plan.discrepancy == "ML" and plan.test in ("standard", "yuan.bentler.mplus")
        if (self.fiml or self.two_level or observed) and self.information is None:
            plan = replace(plan, information="observed")
        if self.clusters and self.estimator == "ML" and not self.two_level:
            # As in lavaan, whose test reads a second setting that only estimator="MLR" sets to the Hessian.
            plan = replace(plan, test_information="h1")
        # "robust" is the sandwich that goes with what is minimised.
        white = self.fiml or bool(self.clusters) or plan.se == "robust.huber.white"
        own = "robust.huber.white" if plan.discrepancy == "ML" and white else "robust.sem"
        told = {
            "se": {**ALIASES, "robust": own}.get(str(self.se), self.se),
            "test": ALIASES.get(str(self.test), self.test),
            "information": self.information,
        }
        if told["se"] == "robust.huber.white" and self.information is None:
            told["information"] = "observed"
        return replace(plan, **{k: v for k, v in told.items() if v is not None})  # type: ignore[arg-type]  # checked against ALLOWED


_AUTO = dict.fromkeys(("auto_var", "auto_cov_lv_x", "auto_cov_y", "auto_fix_first", "auto_fix_single", "auto_th", "auto_delta"), True)
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "sem": {**_AUTO, "int_ov_free": True, "int_lv_free": False},
    "cfa": {**_AUTO, "int_ov_free": True, "int_lv_free": False},
    "growth": {**_AUTO, "int_ov_free": False, "int_lv_free": True, "meanstructure": True},
    "dag": {**_AUTO, "auto_cov_y": False, "int_ov_free": True, "int_lv_free": False},
    "lavaan": {**dict.fromkeys(_AUTO, False), "int_ov_free": False, "int_lv_free": False},
}

ALLOWED: Mapping[str, tuple[object, ...]] = {
    "estimator": tuple(PLANS),
    "missing": ("listwise", "fiml", "ml", "direct"),
    "se": ("standard", "robust", "robust.huber.white", "robust.cluster", "robust.sem", "first.order", "none"),
    "test": ("standard", "satorra.bentler", "scaled.shifted", "mean.var.adjusted", "yuan.bentler", "yuan.bentler.mplus", "none"),
    "likelihood": ("normal", "wishart"),
    "information": ("expected", "observed"),
    "parameterization": ("delta", "theta"),
    "effect_coding": ("loadings", "intercepts"),
    "bounds": ("none", "standard", "wide", "default", "pos.var", "pos.ov.var", "pos.lv.var"),
    "mimic": ("lavaan", "mplus"),
    "group_equal": (
        "none",
        "loadings",
        "intercepts",
        "thresholds",
        "means",
        "regressions",
        "residuals",
        "residual.covariances",
        "lv.variances",
        "lv.covariances",
    ),
}
