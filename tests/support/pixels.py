"""Web Pixel events as Shopify sends them, with everything personal that they may hold."""

from typing import Any

PERSONAL = ("ada@example.com", "+442079460000", "Lovelace", "St James", "Happy birthday", "customer-77", "JANE10")
SECRETS = ("checkout-token", "order-1001", "client-1", "cart-key", "Z2NwLWV1")
"""What opens something or leads to a person: kept as a pseudonym or not at all."""

_MONEY = {"amount": 42.5, "currencyCode": "EUR"}
_VARIANT: dict[str, Any] = {
    "id": "variant-1",
    "image": {"src": "https://cdn.example/shirt.png"},
    "price": _MONEY,
    "product": {
        "id": "product-1",
        "title": "Shirt",
        "type": "Clothes",
        "untranslatedTitle": "Shirt",
        "url": "/products/shirt?token=cart-key",
        "vendor": "Acme",
    },
    "sku": "S-1",
    "title": "M",
    "untranslatedTitle": "M",
}
_LINE: dict[str, Any] = {"cost": {"totalAmount": _MONEY}, "merchandise": _VARIANT, "quantity": 2}
_ADDRESS = {"firstName": "Ada", "lastName": "Lovelace", "address1": "12 St James Square", "phone": "+442079460000"}
_CHECKOUT: dict[str, Any] = {
    "attributes": [{"key": "gift", "value": "Happy birthday"}],
    "billingAddress": _ADDRESS,
    "buyerAcceptsEmailMarketing": True,
    "currencyCode": "EUR",
    "delivery": {"selectedDeliveryOptions": [{"title": "St James", "handle": "h", "type": "pickup"}]},
    "discountApplications": [{"title": "JANE10", "type": "DISCOUNT_CODE", "value": {"percentage": 10}}],
    "discountsAmount": None,
    "email": "ada@example.com",
    "lineItems": [
        {
            "id": "line-1",
            "quantity": 1,
            "title": "Shirt",
            "variant": _VARIANT,
            "finalLinePrice": _MONEY,
            "properties": [{"key": "engraving", "value": "Happy birthday"}],
        }
    ],
    "order": {"id": "order-1001", "customer": {"id": "customer-77", "isFirstOrder": True}},
    "phone": "+442079460000",
    "shippingAddress": _ADDRESS,
    "shippingLine": {"price": _MONEY},
    "subtotalPrice": _MONEY,
    "token": "checkout-token",
    "totalPrice": _MONEY,
    "totalTax": {"amount": 0, "currencyCode": "EUR"},
    "transactions": [
        {
            "amount": _MONEY,
            "gateway": "shopify_payments",
            "paymentMethod": {"name": "Lovelace", "type": "creditCard"},
        }
    ],
}
_ERROR = {
    "type": "EXTENSION_USAGE_ERROR",
    "appId": "app-1",
    "appName": "Gifts",
    "extensionName": "wrap",
    "message": "no address for ada@example.com",
    "trace": "at Lovelace",
}

EVENTS: dict[str, dict[str, Any]] = {
    "page_viewed": {},
    "product_viewed": {"productVariant": _VARIANT},
    "collection_viewed": {"collection": {"id": "c-1", "title": "New", "productVariants": [_VARIANT]}},
    "search_submitted": {"searchResult": {"query": "shirt", "productVariants": [_VARIANT]}},
    "product_added_to_cart": {"cartLine": _LINE},
    "product_removed_from_cart": {"cartLine": _LINE},
    "cart_viewed": {
        "cart": {
            "id": "gid://shopify/Cart/cart-1?key=cart-key",
            "attributes": [{"key": "note", "value": "Happy birthday"}],
            "cost": {"totalAmount": _MONEY},
            "lines": [_LINE],
            "totalQuantity": 2,
        }
    },
    "checkout_started": {"checkout": _CHECKOUT},
    "checkout_contact_info_submitted": {"checkout": _CHECKOUT},
    "checkout_address_info_submitted": {"checkout": _CHECKOUT},
    "checkout_shipping_info_submitted": {"checkout": _CHECKOUT},
    "payment_info_submitted": {"checkout": _CHECKOUT},
    "checkout_completed": {"checkout": _CHECKOUT},
    "alert_displayed": {
        "alert": {
            "type": "INPUT_INVALID",
            "target": "cart.email",
            "message": "ada@example.com?",
            "value": "Lovelace",
        }
    },
    "ui_extension_errored": {"error": _ERROR},
}
"""The data of each standard event."""


def event(name: str, **otherwise: Any) -> dict[str, Any]:
    """Return an event of that name, in part otherwise."""
    return {
        "id": f"sh-{name}",
        "name": name,
        "type": "standard",
        "clientId": "client-1",
        "seq": 3,
        "timestamp": "2026-11-20T10:00:00.000Z",
        "context": {
            "document": {
                "title": "Thank you, Ada Lovelace",
                "referrer": "https://mail.example/?to=ada@example.com",
                "location": {
                    "host": "shop.example",
                    "pathname": "/checkouts/cn/Z2NwLWV1",
                    "href": "https://shop.example/checkouts/cn/Z2NwLWV1?email=ada@example.com",
                },
            },
            "navigator": {"userAgent": "…", "cookieEnabled": True},
        },
        "data": EVENTS[name],
    } | otherwise
