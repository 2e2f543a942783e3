variable "bucket" {
  type        = string
  description = "The bucket's name: S3_BUCKET."
}

variable "cors_origins" {
  type        = list(string)
  description = "Origins whose pages may upload, as CORS_ORIGINS."
}

variable "origin_shield_region" {
  type        = string
  description = "The bucket's region, or the nearest that has an origin shield."
}

variable "domain" {
  type        = string
  default     = null
  description = "A name of your own for the CDN; CloudFront's when left out."
}

variable "certificate_arn" {
  type        = string
  default     = null
  description = "The domain's certificate, in us-east-1."

  validation {
    condition     = var.certificate_arn == null ? true : can(regex("^arn:aws[a-z-]*:acm:us-east-1:", var.certificate_arn))
    error_message = "CloudFront takes certificates from us-east-1 alone."
  }
}

variable "price_class" {
  type        = string
  default     = "PriceClass_100"
  description = "How much of the world the CDN's edges are in."
}
