# The bucket and its CDN in the cloud: what infra/deploy/s3/bucket.ts and infra/deploy/nginx/cdn.conf.template
# are in the stack. The product's processes are told of them by the outputs.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

locals {
  year_seconds = 31536000
}

# ---------------------------------------------------------------- the bucket

resource "aws_s3_bucket" "photos" {
  bucket = var.bucket
}

# Nobody reads from it but through the CDN, and no policy or ACL can open it by mistake.
resource "aws_s3_bucket_public_access_block" "photos" {
  bucket                  = aws_s3_bucket.photos.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "photos" {
  bucket = aws_s3_bucket.photos.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "photos" {
  bucket = aws_s3_bucket.photos.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# Browsers PUT with a presigned URL; the signature decides, not the origin.
resource "aws_s3_bucket_cors_configuration" "photos" {
  bucket = aws_s3_bucket.photos.id
  cors_rule {
    allowed_methods = ["PUT"]
    allowed_origins = var.cors_origins
    allowed_headers = ["content-type"]
    expose_headers  = ["ETag"]
    max_age_seconds = 3600
  }
}

data "aws_iam_policy_document" "photos" {
  # This distribution alone, and variants alone: originals are for the image worker.
  statement {
    sid       = "CdnReadsVariants"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.photos.arn}/variants/*"]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "AWS:SourceArn"
      values   = [aws_cloudfront_distribution.cdn.arn]
    }
  }

  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.photos.arn, "${aws_s3_bucket.photos.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "photos" {
  bucket = aws_s3_bucket.photos.id
  policy = data.aws_iam_policy_document.photos.json
}

# ---------------------------------------------------------------- the CDN

resource "aws_cloudfront_origin_access_control" "photos" {
  name                              = "${var.bucket}-variants"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# A variant's key carries a hash of its bytes: kept for a year, whatever the query string, cookies or
# headers.
resource "aws_cloudfront_cache_policy" "variants" {
  name        = "${var.bucket}-variants"
  min_ttl     = local.year_seconds
  default_ttl = local.year_seconds
  max_ttl     = local.year_seconds

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "variants" {
  name = "${var.bucket}-variants"

  cors_config {
    access_control_allow_credentials = false
    origin_override                  = true

    access_control_allow_headers {
      items = ["*"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }
    access_control_allow_origins {
      items = ["*"]
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }
    strict_transport_security {
      access_control_max_age_sec = 63072000
      override                   = true
    }
  }

  custom_headers_config {
    items {
      header   = "Cross-Origin-Resource-Policy"
      value    = "cross-origin"
      override = true
    }
  }

  remove_headers_config {
    items {
      header = "x-amz-server-side-encryption"
    }
  }
}

resource "aws_cloudfront_distribution" "cdn" {
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = var.price_class
  aliases         = var.domain == null ? [] : [var.domain]

  origin {
    origin_id                = "photos"
    domain_name              = aws_s3_bucket.photos.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.photos.id

    # Many edges ask it as one: a cold image is fetched once, not once for each region.
    origin_shield {
      enabled              = true
      origin_shield_region = var.origin_shield_region
    }
  }

  # Whatever is not a variant ends at the bucket's policy: S3 answers 403.
  default_cache_behavior {
    target_origin_id           = "photos"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    cache_policy_id            = aws_cloudfront_cache_policy.variants.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.variants.id
    # Photographs are compressed already.
    compress = false
  }

  # S3 says 403 of what is not there to those who may not list. It is asked again after a second: what
  # is not there now may come.
  dynamic "custom_error_response" {
    for_each = [403, 404]
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 1
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = var.certificate_arn
    ssl_support_method             = var.domain == null ? null : "sni-only"
    minimum_protocol_version       = var.domain == null ? null : "TLSv1.2_2021"
  }
}

# ---------------------------------------------------------------- who may do what

# For the command edges, which sign uploads, and the projector, which purges what was deleted.
data "aws_iam_policy_document" "product" {
  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.photos.arn}/originals/*", "${aws_s3_bucket.photos.arn}/variants/*"]
  }
  statement {
    sid       = "Bucket"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.photos.arn]
  }
  statement {
    sid       = "Purge"
    actions   = ["cloudfront:CreateInvalidation"]
    resources = [aws_cloudfront_distribution.cdn.arn]
  }
}

resource "aws_iam_policy" "product" {
  name   = "${var.bucket}-product"
  policy = data.aws_iam_policy_document.product.json
}
