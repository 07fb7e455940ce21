using System.Collections.Immutable;

namespace RedisFailover.Cli.Cluster;

/// <summary>A file that an option or a variable names: what is wrong with it is told with the name that it was given by.</summary>
internal static class NamedFile
{
    /// <summary>Its lines that are not empty.</summary>
    /// <param name="source">The option or the variable.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="CliException">It cannot be read, or is empty.</exception>
    internal static ImmutableArray<string> Lines(string source, string path)
    {
        string fault;
        try
        {
            ImmutableArray<string> lines = [.. File.ReadLines(path).Where(line => line.Trim().Length > 0)];
            if (!lines.IsEmpty)
            {
                return lines;
            }

            fault = "is empty";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            fault = path.Length == 0 || e is FileNotFoundException or DirectoryNotFoundException ? "does not exist"
                : Directory.Exists(path) ? "is a directory"
                : e is UnauthorizedAccessException ? $"may not be read by {Environment.UserName}"
                : $"cannot be read ({e.Message})";
        }

        throw new CliException($"{source}: the file '{path}' {fault}; allowed: a file that can be read and is not empty.",
            CommandLine.WrongUsage);
    }
}
