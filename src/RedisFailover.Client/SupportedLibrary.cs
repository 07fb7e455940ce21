using System.Reflection;

namespace RedisFailover.Client;

/// <summary>The versions of StackExchange.Redis that this client was built for: each minor version adds members to IDatabase, and who
/// forces one past the package's dependency gets a sentence in place of a TypeLoadException.</summary>
internal static class SupportedLibrary
{
    private static readonly Version s_first = new(3, 4, 35);
    private static readonly Version s_end = new(3, 5);

    /// <exception cref="NotSupportedException">The application has loaded another version.</exception>
    internal static void Check()
    {
        string? text = typeof(ConnectionMultiplexer).Assembly.GetCustomAttribute<AssemblyFileVersionAttribute>()?.Version;
        if (Version.TryParse(text, out Version? loaded) && (loaded < s_first || loaded >= s_end))
        {
            throw new NotSupportedException($"RedisFailover.Client needs StackExchange.Redis {s_first} or later, below {s_end}; "
                + $"this application has loaded {loaded.ToString(3)}. Take a version of RedisFailover.Client that was built for it.");
        }
    }
}
