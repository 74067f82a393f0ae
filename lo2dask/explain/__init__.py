"""Why a sequence is flagged: SHAP values, nearest normal sequences, false positives and negatives."""
