output "s3_bucket" {
  value       = aws_s3_bucket.photos.id
  description = "S3_BUCKET"
}

output "s3_region" {
  value       = aws_s3_bucket.photos.region
  description = "S3_REGION"
}

output "cdn_base_url" {
  value       = "https://${coalesce(var.domain, aws_cloudfront_distribution.cdn.domain_name)}"
  description = "CDN_BASE_URL"
}

output "distribution_id" {
  value       = aws_cloudfront_distribution.cdn.id
  description = "What invalidations name."
}

output "policy_arn" {
  value       = aws_iam_policy.product.arn
  description = "For the role that the product's processes run as."
}
