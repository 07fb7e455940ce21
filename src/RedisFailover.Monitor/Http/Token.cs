using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Http;

/// <summary>
/// Where a token is set, everything but the health checks asks for it: <c>Authorization: Bearer ...</c>. The file is read again, and may
/// hold two during a rotation.
/// </summary>
internal sealed class Token(SecretFile? file, TimeProvider time)
{
    private const string Scheme = "Bearer ";

    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(1);

    /// <summary>The tokens' hashes, and when they were read: many requests do not read the file as often.</summary>
    private (byte[][] Hashes, long ReadAt)? _known;

    internal Task CheckAsync(HttpContext context, RequestDelegate next)
    {
        if (file is null || context.Request.Path.StartsWithSegments("/health", StringComparison.Ordinal) || IsGiven(context.Request))
        {
            return next(context);
        }

        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return Task.CompletedTask;
    }

    /// <summary>By the hashes, which are equally long: how long comparing takes tells nothing.</summary>
    private bool IsGiven(HttpRequest request)
    {
        string given = request.Headers.Authorization.ToString();
        if (!given.StartsWith(Scheme, StringComparison.Ordinal))
        {
            return false;
        }

        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(given[Scheme.Length..]));
        return Hashes().Aggregate(false, (fits, known) => CryptographicOperations.FixedTimeEquals(hash, known) | fits);
    }

    private byte[][] Hashes()
    {
        lock (file!)
        {
            if (_known is not { } known || time.GetElapsedTime(known.ReadAt) > Lifetime)
            {
                _known = known = ([.. file.Lines.Select(line => SHA256.HashData(Encoding.UTF8.GetBytes(line)))], time.GetTimestamp());
            }

            return known.Hashes;
        }
    }
}
