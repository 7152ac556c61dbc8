"""Metrics: how far generated samples are from real ones, beside how far real ones are from real."""

from .coverage import ModeCoverage, mode_coverage
from .discrepancy import TwoSampleTest, energy_distance, median_distance, mmd, permutation_test
from .features import DigitFeatures, digit_features, inception_score
from .floor import Measured, with_floor
from .frechet import frechet_distance, gaussian_frechet_distance
from .images import check_images, check_labels
from .likelihood import bits_per_dimension
from .neighbours import PrecisionRecall, classifier_two_sample_test, precision_recall
from .wasserstein import sliced_wasserstein, wasserstein_1d

__all__ = [
    "DigitFeatures",
    "Measured",
    "ModeCoverage",
    "PrecisionRecall",
    "TwoSampleTest",
    "bits_per_dimension",
    "check_images",
    "check_labels",
    "classifier_two_sample_test",
    "digit_features",
    "energy_distance",
    "frechet_distance",
    "gaussian_frechet_distance",
    "inception_score",
    "median_distance",
    "mmd",
    "mode_coverage",
    "permutation_test",
    "precision_recall",
    "sliced_wasserstein",
    "wasserstein_1d",
    "with_floor",
]
