window.addEventListener("load", function () {
  SwaggerUIBundle({
    url: "docs.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    // The default asks a validator on the internet.
    validatorUrl: null,
  });
});
