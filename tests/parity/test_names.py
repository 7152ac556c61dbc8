"""Every name that a PyTorch program about generative models may use is where PyTorch has it."""

import pytest

import tinygen as tg

FUNCTIONS_AND_METHODS = """
add sub mul div true_divide floor_divide remainder fmod neg positive pow square sqrt rsqrt
reciprocal exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 xlogy sin cos tan asin acos
atan atan2 sinh cosh tanh asinh acosh atanh arcsin arctanh sinc hypot erf erfc erfinv lgamma
digamma sigmoid logit round floor ceil trunc frac clamp clamp_min clamp_max clip maximum minimum
fmax fmin lerp addcmul addcdiv abs absolute sign sgn eq ne lt le gt ge greater less_equal
logical_and logical_or logical_not logical_xor isfinite isinf isnan isclose allclose equal
nan_to_num sum mean prod amax amin max min argmax argmin std var norm logsumexp cumsum cumprod
cummax cummin logcumsumexp median quantile nanquantile nansum nanmean any all count_nonzero cov
corrcoef diff kthvalue mode bincount histc sort argsort topk unique msort matmul mm bmm mv dot
inner outer ger vdot addmm addmv baddbmm kron trace matrix_exp cholesky inverse det logdet slogdet
qr svd pinverse cross reshape flatten ravel unflatten squeeze unsqueeze transpose swapaxes permute
movedim t narrow select diagonal tile split chunk unbind tensor_split index_select index_put
index_add index_copy index_fill gather scatter scatter_add scatter_reduce take take_along_dim
masked_fill masked_select masked_scatter where flip fliplr flipud roll rot90 tril triu diag
diag_embed repeat_interleave nonzero argwhere softmax log_softmax
"""
FUNCTIONS = """
std_mean var_mean trapezoid trapz cumulative_trapezoid searchsorted bucketize isin einsum
tensordot cdist block_diag cat concat concatenate stack hstack vstack dstack column_stack hsplit
vsplit atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_shapes meshgrid cartesian_prod
tril_indices triu_indices zeros ones empty full arange linspace logspace eye rand randn randint
randperm bernoulli multinomial normal rand_like randn_like randint_like zeros_like ones_like
full_like empty_like tensor as_tensor from_numpy is_tensor numel manual_seed Generator
"""
METHODS = """
view view_as reshape_as expand expand_as repeat broadcast_to T mT contiguous detach clone
requires_grad_ backward item tolist numpy to cpu float double long int bool type_as size dim ndim
numel element_size new_zeros new_ones new_full new_empty new_tensor copy_ fill_ zero_ add_ sub_
mul_ div_ clamp_ exp_ sqrt_ normal_ uniform_ bernoulli_ exponential_ random_ masked_fill_
index_add_ index_copy_ index_fill_ index_put_ scatter_ scatter_add_ addcmul_ addcdiv_ lerp_
fill_diagonal_ is_contiguous is_floating_point register_hook retain_grad unfold data grad device
dtype shape
"""
LINALG = """
norm vector_norm matrix_norm det slogdet inv solve solve_triangular cholesky qr svd svdvals eigh
eigvalsh pinv lstsq matrix_power multi_dot matrix_rank cross vecdot diagonal matrix_exp
"""
FUNCTIONAL = """
relu relu6 leaky_relu elu selu celu gelu silu mish glu prelu softplus softsign softmin softmax
log_softmax logsigmoid hardtanh hardsigmoid hardswish hardshrink softshrink tanhshrink threshold
sigmoid tanh gumbel_softmax layer_norm rms_norm group_norm batch_norm instance_norm normalize
cosine_similarity pairwise_distance conv1d conv2d conv_transpose1d conv_transpose2d unfold fold
max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_max_pool1d adaptive_max_pool2d interpolate pad pixel_shuffle pixel_unshuffle embedding
one_hot dropout dropout1d dropout2d alpha_dropout local_response_norm conv3d conv_transpose3d
max_unpool2d grid_sample affine_grid channel_shuffle linear scaled_dot_product_attention mse_loss
l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss binary_cross_entropy
binary_cross_entropy_with_logits kl_div gaussian_nll_loss poisson_nll_loss hinge_embedding_loss
margin_ranking_loss triplet_margin_loss soft_margin_loss cosine_embedding_loss
"""
NN = """
Module Parameter Sequential ModuleList ModuleDict ParameterList ParameterDict Identity Linear
Embedding Dropout Flatten Unflatten LayerNorm RMSNorm GroupNorm BatchNorm1d BatchNorm2d
BatchNorm3d InstanceNorm1d InstanceNorm2d Conv1d Conv2d ConvTranspose1d ConvTranspose2d MaxPool1d
MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool2d Upsample
PixelShuffle PixelUnshuffle Unfold Fold ZeroPad2d ConstantPad2d ReflectionPad1d ReflectionPad2d
ReplicationPad2d CircularPad2d Dropout2d MultiheadAttention RNN GRU LSTM RNNCell GRUCell LSTMCell
ReLU ReLU6 LeakyReLU ELU SELU CELU GELU SiLU Mish GLU PReLU Softplus Softsign Softmin Softmax
LogSoftmax LogSigmoid Hardtanh Hardsigmoid Hardswish Sigmoid Tanh Threshold CosineSimilarity
MSELoss L1Loss SmoothL1Loss HuberLoss CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss KLDivLoss
GaussianNLLLoss PoissonNLLLoss HingeEmbeddingLoss MarginRankingLoss TripletMarginLoss
utils.spectral_norm utils.weight_norm utils.parameters_to_vector utils.vector_to_parameters
utils.clip_grad_norm_ utils.clip_grad_value_ utils.parametrizations.spectral_norm
utils.parametrizations.weight_norm
"""
OTHERS = """
autograd.grad autograd.backward autograd.Function autograd.gradcheck autograd.gradgradcheck
autograd.detect_anomaly autograd.functional.vjp autograd.functional.jvp
autograd.functional.jacobian autograd.functional.hessian autograd.functional.hvp
autograd.functional.vhp autograd.forward_ad.dual_level autograd.forward_ad.make_dual
autograd.forward_ad.unpack_dual utils.checkpoint.checkpoint utils.checkpoint.checkpoint_sequential
utils.data.Dataset utils.data.IterableDataset utils.data.TensorDataset utils.data.Subset
utils.data.ConcatDataset utils.data.random_split utils.data.DataLoader utils.data.Sampler
utils.data.RandomSampler utils.data.SequentialSampler utils.data.SubsetRandomSampler
utils.data.WeightedRandomSampler utils.data.BatchSampler utils.data.default_collate
optim.swa_utils.AveragedModel optim.swa_utils.get_ema_avg_fn optim.swa_utils.get_ema_multi_avg_fn
optim.swa_utils.get_swa_avg_fn
"""


DISTRIBUTIONS = """
Bernoulli Beta Binomial Categorical Cauchy Chi2 Dirichlet Distribution Exponential Gamma Geometric
Gumbel Independent Laplace LogNormal LowRankMultivariateNormal MixtureSameFamily MultivariateNormal
Normal OneHotCategorical Poisson RelaxedBernoulli RelaxedOneHotCategorical StudentT
TransformedDistribution Uniform kl_divergence register_kl constraints.positive constraints.simplex
transforms.AffineTransform transforms.ComposeTransform transforms.ExpTransform
transforms.IndependentTransform transforms.PowerTransform transforms.SigmoidTransform
transforms.SoftplusTransform transforms.StickBreakingTransform transforms.TanhTransform
transforms.Transform transforms.identity_transform
"""


def paths():
    places = {
        "": FUNCTIONS_AND_METHODS + FUNCTIONS + OTHERS,
        "Tensor.": FUNCTIONS_AND_METHODS + METHODS,
        "linalg.": LINALG,
        "nn.functional.": FUNCTIONAL,
        "nn.": NN,
        "distributions.": DISTRIBUTIONS,
    }
    return [place + name for place, names in places.items() for name in names.split()]


@pytest.mark.parametrize("path", paths())
def test_it_is_there(path):
    place = tg
    for part in path.split("."):
        place = tg.eye(2) if place is tg.Tensor else place  # some attributes are of instances
        assert hasattr(place, part), f"tinygen has no {path}"
        place = getattr(place, part) if part != "grad" else None


@pytest.mark.parametrize("path", paths())
def test_torch_has_it_there_too(path):
    place = pytest.importorskip("torch")
    if path.startswith("autograd.forward_ad"):
        pytest.importorskip("torch.autograd.forward_ad")
    for part in path.split("."):
        assert hasattr(place, part), f"torch has no {path}"
        place = getattr(place, part)
