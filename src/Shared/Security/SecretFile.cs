using System.Collections.Immutable;

namespace RedisFailover.Shared;

/// <summary>
/// Secrets in a file, one a line. It is read again whenever they are asked for, so that who rotates them only has to write the file (or
/// to let Kubernetes do it); while it cannot be read, what was read last holds. Compiled into the projects that log in somewhere.
/// </summary>
/// <param name="path">The file.</param>
internal sealed class SecretFile(string path)
{
    private volatile string[] _last = [];

    /// <summary>The file.</summary>
    internal string Path => path;

    /// <summary>Its lines that are not empty. The first is what holds, the others are tried after it.</summary>
    internal ImmutableArray<string> Lines
    {
        get
        {
            try
            {
                if (Read() is { IsEmpty: false } lines)
                {
                    _last = [.. lines];
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It is being replaced.
            }

            return [.. _last];
        }
    }

    /// <summary>Its lines that are not empty.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    internal ImmutableArray<string> Read() => [.. File.ReadAllLines(path).Where(line => line.Length > 0)];

    /// <summary>The path; never what is in it.</summary>
    public override string ToString() => path;
}
