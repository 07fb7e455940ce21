using System.Text.Json;
using Microsoft.AspNetCore.Http;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Http;

/// <summary>One path that is answered.</summary>
/// <param name="Path">The path, with {name} and {node} for a cluster and a node.</param>
/// <param name="Summary">What is answered, in one sentence.</param>
/// <param name="Answer">What answers it.</param>
internal sealed record Route(string Path, string Summary, RequestDelegate Answer)
{
    /// <summary>Whether the answer is JSON; else text.</summary>
    internal bool IsJson { get; init; }

    /// <summary>Whether it is answered without the token, too.</summary>
    internal bool IsOpen { get; init; }

    /// <summary>What a 503 means; null where there is none.</summary>
    internal string? Otherwise { get; init; }

    /// <summary>A parameter of the query, and what it asks for.</summary>
    internal (string Name, string Description)? Query { get; init; }
}

/// <summary>The description of the paths for programs (OpenAPI 3.0), from the table that answers them.</summary>
internal static class OpenApi
{
    private static readonly string[] InPaths = ["name", "node"];

    internal static void Write(Utf8JsonWriter json, IReadOnlyList<Route> routes)
    {
        json.WriteStartObject();
        json.WriteString("openapi", "3.0.3");
        json.WriteStartObject("info");
        json.WriteString("title", "redis-failover-monitor");
        json.WriteString("version", MonitorService.Version);
        json.WriteEndObject();
        json.WriteStartObject("paths");
        foreach (Route route in routes)
        {
            json.WriteStartObject(route.Path);
            json.WriteStartObject("get");
            json.WriteString("summary", route.Summary);
            Parameters(json, route);
            Responses(json, route);
            if (!route.IsOpen)
            {
                json.WriteStartArray("security");
                json.WriteStartObject();
                json.WriteStartArray("token");
                json.WriteEndArray();
                json.WriteEndObject();

                // Where no token is set none is asked for.
                json.WriteStartObject();
                json.WriteEndObject();
                json.WriteEndArray();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteStartObject("components");
        json.WriteStartObject("securitySchemes");
        json.WriteStartObject("token");
        json.WriteString("type", "http");
        json.WriteString("scheme", "bearer");
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Parameters(Utf8JsonWriter json, Route route)
    {
        json.WriteStartArray("parameters");
        foreach (string name in InPaths.Where(name => route.Path.Contains($"{{{name}}}", StringComparison.Ordinal)))
        {
            Parameter(json, name, "path", name == "name" ? "The cluster's name." : "The node, host:port.", isRequired: true);
        }

        if (route.Query is { } query)
        {
            Parameter(json, query.Name, "query", query.Description, isRequired: false);
        }

        json.WriteEndArray();
    }

    private static void Parameter(Utf8JsonWriter json, string name, string place, string description, bool isRequired)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("in", place);
        json.WriteBoolean("required", isRequired);
        json.WriteString("description", description);
        json.WriteStartObject("schema");
        json.WriteString("type", "string");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Responses(Utf8JsonWriter json, Route route)
    {
        json.WriteStartObject("responses");
        Response(json, StatusCodes.Status200OK, route.Summary, route.IsJson);
        if (route.Query is not null || route.Path.Contains("{node}", StringComparison.Ordinal))
        {
            Response(json, StatusCodes.Status400BadRequest, "What was given is not allowed, and what is.", isJson: false);
        }

        if (route.Path.Contains("{name}", StringComparison.Ordinal))
        {
            Response(json, StatusCodes.Status404NotFound, "There is no such cluster, and which there are.", isJson: false);
        }

        if (route.Otherwise is { } otherwise)
        {
            Response(json, StatusCodes.Status503ServiceUnavailable, otherwise, route.IsJson);
        }

        json.WriteEndObject();
    }

    private static void Response(Utf8JsonWriter json, int code, string description, bool isJson)
    {
        json.WriteStartObject(code.ToString(System.Globalization.CultureInfo.InvariantCulture));
        json.WriteString("description", description);
        json.WriteStartObject("content");
        json.WriteStartObject(isJson ? "application/json" : "text/plain");
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
