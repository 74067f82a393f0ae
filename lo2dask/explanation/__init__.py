"""Why a model flags a sequence: SHAP, nearest neighbours, evidence lines, lists and plots."""
