"""Export: trained models as arrays and bundles, from which a registry answers without their libraries."""
