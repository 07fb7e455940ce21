using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace RedisFailover.Monitor.Http;

/// <summary>Where a token is set, everything but the health checks asks for it: <c>Authorization: Bearer ...</c>.</summary>
internal sealed class Token(string? token)
{
    private const string Scheme = "Bearer ";

    private readonly byte[]? _hash = token is null ? null : SHA256.HashData(Encoding.UTF8.GetBytes(token));

    internal Task CheckAsync(HttpContext context, RequestDelegate next)
    {
        if (_hash is null || context.Request.Path.StartsWithSegments("/health", StringComparison.Ordinal) || IsGiven(context.Request))
        {
            return next(context);
        }

        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return Task.CompletedTask;
    }

    /// <summary>By the hashes, which are equally long: how long comparing takes tells nothing.</summary>
    private bool IsGiven(HttpRequest request)
        => request.Headers.Authorization.ToString() is { } given && given.StartsWith(Scheme, StringComparison.Ordinal)
            && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given[Scheme.Length..])), _hash);
}
